//! Links as they are wanted, with all that follows from elsewhere: what is given to the kernel.

use std::borrow::Cow;
use std::collections::HashMap;

use netloom_kernel::MacAddress;
use netloom_kernel::netns::NetnsId;

use crate::{Interface, Link, LinkId, Place};

/// One end, with all that follows from elsewhere.
#[derive(Debug)]
pub(crate) struct WantedEnd<'l, 'p> {
    pub(crate) id: &'l LinkId,
    pub(crate) place: &'p Place,
    pub(crate) interface: &'l Interface,
    /// As the kernel has it.
    pub(crate) name: Cow<'l, str>,
    pub(crate) mark: String,
    pub(crate) alias: String,
    pub(crate) kind: &'static str,
    pub(crate) mac: Option<MacAddress>,
    pub(crate) mtu: Option<u32>,
    pub(crate) master: Option<u32>,
}

/// A link, with all that follows from elsewhere.
#[derive(Debug)]
pub(crate) struct Wanted<'l, 'p> {
    pub(crate) link: &'l Link<'p>,
    pub(crate) near: WantedEnd<'l, 'p>,
    pub(crate) far: Option<WantedEnd<'l, 'p>>,
    /// The index, in the base, of the link that the near end stands on.
    pub(crate) parent: Option<u32>,
}

impl<'l, 'p> Wanted<'l, 'p> {
    pub(crate) fn ends(&self) -> impl Iterator<Item = &WantedEnd<'l, 'p>> {
        std::iter::once(&self.near).chain(&self.far)
    }
}

/// The namespaces of all ends, each once.
pub(crate) fn places<'p>(links: &[Wanted<'_, 'p>]) -> HashMap<NetnsId, &'p Place> {
    let ends = links.iter().flat_map(Wanted::ends);
    ends.map(|end| (end.place.id(), end.place)).collect()
}
