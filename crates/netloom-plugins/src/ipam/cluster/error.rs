//! What can go wrong, each with its code and words.

use crate::wiring::reservations::address::listed;
use crate::wiring::reservations::ranges::RangeError;
use crate::wiring::reservations::store_error::StoreError;
use netloom_cluster::message::SOCKET;
use netloom_plugin::{Error, code};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub(super) enum ClusterError {
    #[error("IPAM config missing 'ipam' key")]
    NoIpam,
    #[error("no IP ranges specified: {0} is missing")]
    NoRanges(&'static str),
    #[error("{origin}: {cause}")]
    InvalidSet {
        origin: String,
        cause: Box<RangeError>,
    },
    #[error("nothing to give out of {0}: every address is excluded or a gateway")]
    NothingLeft(String),
    #[error("range set {0} overlaps with {1}; each gives an address of its own")]
    SetsOverlap(usize, usize),
    #[error("failed to allocate all requested IPs: {}", listed(.addresses))]
    Unfulfilled {
        addresses: Vec<IpAddr>,
        sets: Vec<String>,
    },
    #[error(
        "ipam.keep {0:?}: \"no\", \"always\" or a time such as \"90s\", \"30m\", \"12h\" or \"7d\" is expected"
    )]
    Keep(String),
    #[error("ipam.wait {0}: at most {1} seconds are waited")]
    Wait(u64, u64),
    #[error("ipam.grant {0}: 1, 2, 4, 8, 16, 32 or 64 is expected")]
    Grant(u8),
    #[error("ipam.node_slice_size {0:?}: a prefix length such as \"/28\" is expected")]
    Slice(String),
    #[error("ipam: {0}")]
    Space(String),
    #[error("cannot read resolvConf {}: {cause}", .path.display())]
    ResolvConf { path: PathBuf, cause: io::Error },
    #[error("cannot read {}: {cause}", .path.display())]
    FlatFile { path: PathBuf, cause: io::Error },
    #[error("cannot use {}: {cause}", .path.display())]
    Grants { path: PathBuf, cause: String },
    #[error(
        "{what}, and netloom-node does not answer at {SOCKET}: {cause}; systemctl status netloom-node"
    )]
    NoDaemon { what: String, cause: io::Error },
    #[error("{what}, and netloom-node answers at {SOCKET} what cannot be understood: {cause}")]
    BadAnswer { what: String, cause: String },
    #[error("{msg}")]
    Refused { code: u32, msg: String },
    #[error("{0}, and the daemon's addresses went to others while this one waited")]
    TooLate(String),
    #[error("{set}: {address} is reserved on this node: {holder} has it")]
    Taken {
        set: String,
        address: IpAddr,
        holder: String,
    },
    #[error("no address of {container_id} on {if_name} is reserved")]
    NothingReserved {
        container_id: String,
        if_name: String,
    },
    #[error("{address} is not reserved for {container_id} on {if_name}: {holder} has it")]
    NotReserved {
        address: IpAddr,
        container_id: String,
        if_name: String,
        holder: String,
    },
    #[error(
        "{0} is not this node's any more: the node was removed from the cluster, or the address went to another one; delete the pod and add it again"
    )]
    NotGranted(IpAddr),
    #[error(
        "the grants of space {0} are not compared with the cluster's store since this boot, and netloom-node does not answer at {SOCKET}"
    )]
    Unverified(String),
    #[error("no address free in {0} on this node, and netloom-node does not answer at {SOCKET}")]
    Unavailable(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Stores(Vec<StoreError>),
}

impl ClusterError {
    /// Of `cluster`, whose ranges the runtime may name.
    pub(super) fn no_ranges() -> Error {
        Self::NoRanges("ipam.ranges").into()
    }

    fn code(&self) -> u32 {
        match self {
            Self::NoIpam
            | Self::NoRanges(_)
            | Self::InvalidSet { .. }
            | Self::NothingLeft(_)
            | Self::SetsOverlap(..)
            | Self::Unfulfilled { .. }
            | Self::Keep(_)
            | Self::Wait(..)
            | Self::Grant(_)
            | Self::Slice(_)
            | Self::Space(_) => code::INVALID_CONFIG,
            Self::NoDaemon { .. } | Self::TooLate(_) | Self::Taken { .. } => code::TRY_AGAIN_LATER,
            Self::Refused { code, .. } => *code,
            Self::Unavailable(_) | Self::Unverified(_) => code::PLUGIN_NOT_AVAILABLE,
            Self::NothingReserved { .. }
            | Self::NotReserved { .. }
            | Self::NotGranted(_)
            | Self::BadAnswer { .. } => code::INTERNAL,
            Self::ResolvConf { cause, .. } if cause.kind() == io::ErrorKind::NotFound => {
                code::INVALID_CONFIG
            }
            Self::ResolvConf { .. } | Self::FlatFile { .. } | Self::Grants { .. } => code::IO,
            Self::Store(error) => error.code(),
            Self::Stores(errors) => errors.first().map_or(code::IO, StoreError::code),
        }
    }
}

impl From<ClusterError> for Error {
    fn from(error: ClusterError) -> Self {
        let details = match &error {
            ClusterError::Unfulfilled { sets, .. } => {
                format!(
                    "each range set gives one address that lies in it: {}",
                    sets.join("; ")
                )
            }
            _ => String::new(),
        };
        Self::new(error.code(), error.to_string()).with_details(details)
    }
}
