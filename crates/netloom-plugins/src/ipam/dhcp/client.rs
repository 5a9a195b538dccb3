//! What the clients of both protocols have in common: a machine, and a way to the link that is
//! open only while there is something to send or to wait for.

use super::clock::Moment;
use super::port::{PodInterface, PortError};
use std::os::fd::BorrowedFd;

/// What became of an event.
#[derive(Debug)]
pub(super) enum Turn {
    /// Nothing to tell.
    Quiet,
    /// There is a lease, a new one or one that lasts longer.
    Bound,
    /// There is none any more, or there will be none.
    Lost(String),
    /// The link or its namespace is gone.
    Gone(PortError),
}

impl Turn {
    /// The worse news of two.
    pub(super) fn or_worse(self, other: Self) -> Self {
        let rank = |turn: &Self| match turn {
            Self::Quiet => 0,
            Self::Bound => 1,
            Self::Lost(_) => 2,
            Self::Gone(_) => 3,
        };
        if rank(&other) > rank(&self) {
            other
        } else {
            self
        }
    }
}

/// A client of one link.
pub(super) trait Client {
    fn has_lease(&self) -> bool;

    /// When to call [`Client::timer`].
    fn deadline(&self) -> Option<Moment>;

    /// What to wait for, if it is not what it was at the last call.
    fn new_descriptor(&mut self) -> Option<BorrowedFd<'_>>;

    /// Begins to acquire a lease.
    fn start(&mut self, site: &PodInterface, now: Moment, log: &dyn Fn(&str)) -> Turn;

    /// A deadline may have come.
    fn timer(&mut self, site: &PodInterface, now: Moment, log: &dyn Fn(&str)) -> Turn;

    /// Something arrived.
    fn readable(&mut self, site: &PodInterface, now: Moment, log: &dyn Fn(&str)) -> Turn;

    /// Gives the lease back, as far as that is possible.
    fn release(&mut self, site: &PodInterface, log: &dyn Fn(&str));
}
