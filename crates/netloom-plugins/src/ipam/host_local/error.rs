//! What host-local reports.

use crate::wiring::reservations::address::listed;
use crate::wiring::reservations::ranges::RangeError;
use crate::wiring::reservations::store_error::StoreError;
use netloom_plugin::{Error, Version, code};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

/// Why host-local could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum HostLocalError {
    #[error("IPAM config missing 'ipam' key")]
    NoIpam,
    #[error("no IP ranges specified; set ipam.ranges or ipam.subnet")]
    NoRanges,
    #[error("invalid range set {index}: {cause}")]
    InvalidSet {
        index: usize,
        origin: String,
        cause: Box<RangeError>,
    },
    #[error("range set {0} overlaps with {1}; every address may be in one set only")]
    SetsOverlap(usize, usize),
    #[error(
        "CNI version {0} does not support more than 1 address per family; \
         use cniVersion 0.3.0 or later, or one range set per family"
    )]
    TooManySets(Version),
    #[error("failed to allocate all requested IPs: {}", listed(.addresses))]
    Unfulfilled {
        addresses: Vec<IpAddr>,
        sets: Vec<String>,
    },
    #[error("failed to allocate for range {index}: requested ip {address} is subnet's gateway")]
    RequestedGateway { index: usize, address: IpAddr },
    #[error(
        "failed to allocate for range {index}: requested IP address {address} is not available \
         in range set {set}: {holder} has it"
    )]
    RequestedTaken {
        index: usize,
        address: IpAddr,
        set: String,
        holder: String,
    },
    #[error(
        "failed to allocate for range {index}: {address} has been allocated to {container_id}, \
         duplicate allocation is not allowed"
    )]
    Duplicate {
        index: usize,
        address: IpAddr,
        container_id: String,
    },
    #[error("failed to allocate for range {index}: no IP addresses available in range set: {set}")]
    Exhausted { index: usize, set: String },
    #[error("no IP addresses available in range set: {0}")]
    Unavailable(String),
    #[error("cannot read resolvConf {}: {cause}", .path.display())]
    ResolvConf { path: PathBuf, cause: io::Error },
    #[error("host-local: Failed to find address added by container {container_id} on {if_name}")]
    NothingReserved {
        container_id: String,
        if_name: String,
    },
    #[error(
        "host-local: Failed to find address {address} added by container {container_id} on \
         {if_name}: {holder} has it"
    )]
    NotReserved {
        address: IpAddr,
        container_id: String,
        if_name: String,
        holder: String,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Stores(Vec<StoreError>),
}

impl HostLocalError {
    fn code(&self) -> u32 {
        match self {
            Self::NoIpam
            | Self::NoRanges
            | Self::InvalidSet { .. }
            | Self::SetsOverlap(..)
            | Self::TooManySets(_)
            | Self::Unfulfilled { .. }
            | Self::RequestedGateway { .. } => code::INVALID_CONFIG,
            // These pass when another container goes.
            Self::RequestedTaken { .. } | Self::Exhausted { .. } => code::TRY_AGAIN_LATER,
            Self::Unavailable(_) => code::PLUGIN_NOT_AVAILABLE,
            Self::Duplicate { .. } | Self::NothingReserved { .. } | Self::NotReserved { .. } => {
                code::INTERNAL
            }
            Self::ResolvConf { cause, .. } if cause.kind() == io::ErrorKind::NotFound => {
                code::INVALID_CONFIG
            }
            Self::ResolvConf { .. } => code::IO,
            Self::Store(error) => error.code(),
            Self::Stores(errors) => errors.first().map_or(code::IO, StoreError::code),
        }
    }

    fn details(&self) -> String {
        match self {
            Self::InvalidSet { origin, .. } => format!("the set is that of {origin}"),
            Self::Unfulfilled { sets, .. } => {
                format!(
                    "each range set gives one address that lies in it: {}",
                    sets.join("; ")
                )
            }
            _ => String::new(),
        }
    }
}

impl From<HostLocalError> for Error {
    fn from(error: HostLocalError) -> Self {
        Self::new(error.code(), error.to_string()).with_details(error.details())
    }
}
