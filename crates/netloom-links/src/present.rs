//! What is there of an end.

use netloom_kernel::rtnl::{Address, Link as Interface, Route};

/// An end of ours that is there.
#[derive(Debug, Clone)]
pub(crate) struct Present {
    pub(crate) interface: Interface,
    pub(crate) addresses: Vec<Address>,
    pub(crate) routes: Vec<Route>,
}

impl Present {
    /// One that was made just now.
    pub(crate) fn fresh(interface: Interface) -> Self {
        Self {
            interface,
            addresses: Vec::new(),
            routes: Vec::new(),
        }
    }
}
