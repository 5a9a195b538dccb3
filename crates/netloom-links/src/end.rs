//! One end of a link: an interface, and the namespace it is in.

use std::borrow::Cow;
use std::net::IpAddr;

use hmac_sha256::Hash;
use ipnet::IpNet;
use netloom_kernel::MacAddress;

use crate::{Impairment, Place};

/// The longest name that the kernel gives to an interface.
const NAME_MAX: usize = 15;

/// An interface in a namespace.
#[derive(Debug, Clone)]
pub struct End<'p> {
    /// Where it is.
    pub place: &'p Place,
    /// What it is to be.
    pub interface: Interface,
}

/// What an interface is to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interface {
    /// Its name. One of more than 15 bytes, and at most 127, becomes an alternative name.
    pub name: String,
    /// Its hardware address; without it the one that follows from the link's id.
    pub mac: Option<MacAddress>,
    /// Its MTU in bytes; without it that of its kind.
    pub mtu: Option<u32>,
    /// Its addresses. What else it has is left to whoever gave it.
    pub addresses: Vec<IpNet>,
    /// The routes by it.
    pub routes: Vec<Route>,
    /// A bridge of its namespace that it is a port of.
    pub bridge: Option<String>,
    /// How bad it is at sending.
    pub impairment: Impairment,
}

/// A route by the interface of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Route {
    /// Where to.
    pub destination: IpNet,
    /// By whom; nobody where the destination is on the link.
    pub gateway: Option<IpAddr>,
}

impl<'p> End<'p> {
    /// An interface without settings.
    #[must_use]
    pub fn new(place: &'p Place, name: impl Into<String>) -> Self {
        let interface = Interface {
            name: name.into(),
            ..Interface::default()
        };
        Self { place, interface }
    }
}

impl Interface {
    /// The name that the kernel has it under.
    #[must_use]
    pub fn kernel_name(&self) -> Cow<'_, str> {
        kernel_name(&self.name)
    }

    /// Whether the name is an alternative one.
    pub(crate) fn has_long_name(&self) -> bool {
        self.name.len() > NAME_MAX
    }
}

/// The name under which the kernel has an interface: a name of more than 15 bytes is an alternative
/// one beside `nl` and a digest of it.
#[must_use]
pub fn kernel_name(name: &str) -> Cow<'_, str> {
    if name.len() <= NAME_MAX {
        return name.into();
    }
    let digest = Hash::hash(name.as_bytes());
    let digits: String = digest[..5].iter().map(|b| format!("{b:02x}")).collect();
    format!("nl{digits}").into()
}
