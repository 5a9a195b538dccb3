//! What is in a network namespace, and what happens to it: over netlink alone, nothing is executed.
//!
//! A [`Snapshot`] holds what plugins change: links, addresses, routes, rules, neighbours, queueing
//! disciplines, nf_tables (and iptables where it is built on nf_tables; legacy iptables is not seen),
//! sysctls of the network, and files below given directories. [`Snapshot::diff`] compares two of
//! them. A [`Recorder`] listens while something runs and gives the changes in their order; its cost
//! is that of the changes, whatever else the host holds. A [`Map`](map::Map) tells how the links of
//! several namespaces hang together.
//!
//! ```no_run
//! use netloom_observe::{Place, Recorder, Snapshot};
//!
//! # fn main() -> std::io::Result<()> {
//! let places = [Place::here("host")];
//! let directories = ["/run".into()];
//! let before = Snapshot::take(&places, &directories)?;
//! let recorder = Recorder::start(&places)?;
//! // … something that changes the network …
//! for event in recorder.stop()?.events {
//!     println!("{event}");
//! }
//! for difference in before.diff(&Snapshot::take(&places, &directories)?) {
//!     println!("{difference}");
//! }
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod describe;
mod difference;
mod files;
mod firewall;
pub mod map;
mod network;
pub mod processes;
mod recorder;
mod snapshot;
mod sysctl;

use std::fmt;

use netloom_kernel::Result;
use netloom_kernel::netns::Netns;

pub use difference::{Change, Difference};
pub use recorder::{Event, Recorder, Recording};
pub use snapshot::Snapshot;

/// A network namespace with a name for people.
#[derive(Debug)]
pub struct Place {
    name: String,
    /// `None`: that of the current thread.
    netns: Option<Netns>,
}

impl Place {
    /// The network namespace of the current thread.
    #[must_use]
    pub fn here(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            netns: None,
        }
    }

    /// Another network namespace.
    #[must_use]
    pub fn of(name: impl Into<String>, netns: Netns) -> Self {
        Self {
            name: name.into(),
            netns: Some(netns),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs something in it.
    ///
    /// # Errors
    /// If it cannot be entered, or as what runs.
    pub fn run<T>(&self, inside: impl FnOnce() -> Result<T>) -> Result<T> {
        match &self.netns {
            Some(netns) => netns.run(inside)?,
            None => inside(),
        }
    }
}

/// What an observed object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A network interface.
    Link,
    /// An address of a link.
    Address,
    /// A route.
    Route,
    /// A routing policy rule.
    Rule,
    /// A neighbour that was set by hand.
    Neighbour,
    /// A queueing discipline, class or filter.
    TrafficControl,
    /// A table of nf_tables.
    Table,
    /// A chain of nf_tables, of iptables too.
    Chain,
    /// A rule in a chain.
    ChainRule,
    /// A set or map of nf_tables.
    Set,
    /// An element of a set or map.
    Element,
    /// A kernel setting.
    Sysctl,
    /// A file, directory or symbolic link.
    File,
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Address => "address",
            Self::Route => "route",
            Self::Rule => "rule",
            Self::Neighbour => "neighbour",
            Self::TrafficControl => "tc",
            Self::Table => "nft table",
            Self::Chain => "nft chain",
            Self::ChainRule => "nft rule",
            Self::Set => "nft set",
            Self::Element => "nft element",
            Self::Sysctl => "sysctl",
            Self::File => "file",
        }
    }
}

/// The identity of an object: two snapshots speak of the same one where this is equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    /// The name of the [`Place`]; of files the first place's.
    pub place: String,
    /// What it is.
    pub kind: Kind,
    /// What tells it from others of its kind in that place.
    pub name: String,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.place, self.kind.word(), self.name)
    }
}
