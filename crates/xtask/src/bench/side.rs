//! Whose pods are measured.

use std::path::PathBuf;

/// The columns of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Ours,
    Peer,
    Floor,
}

impl Side {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Side::Ours => "ours",
            Side::Peer => "peer",
            Side::Floor => "floor",
        }
    }

    /// The first two octets of the side's own addresses.
    pub(crate) fn network(self) -> String {
        match self {
            Side::Ours => "10.100".into(),
            Side::Peer => "10.102".into(),
            Side::Floor => "10.104".into(),
        }
    }

    /// The same of the other family, whole.
    pub(crate) fn network6(self) -> &'static str {
        match self {
            Side::Ours => "fd00:100::/64",
            Side::Peer => "fd00:102::/64",
            Side::Floor => "fd00:104::/64",
        }
    }
}

/// A container to be.
pub(crate) struct Pod {
    pub(crate) id: String,
    pub(crate) netns: PathBuf,
    /// From 0, different for each pod of a scenario.
    pub(crate) number: u16,
}
