//! What dhcp reports.

use super::rpc::client::CallError;
use crate::wiring::lock::LockError;
use netloom_plugin::{Error, code};
use std::path::PathBuf;

/// Why dhcp could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum DhcpError {
    #[error("IPAM config missing 'ipam' key")]
    NoIpam,
    #[error("ipam.ipv4 is false and ipam.ipv6 is not true; one of them must be")]
    NoFamily,
    #[error(
        "Can not parse option {option:?} in ipam.{field}[{index}].option; it must be a name of \
         dhcp-options(5) such as \"host-name\", or a number from 1 to 254 but 52 and 53"
    )]
    Option {
        field: &'static str,
        index: usize,
        option: String,
    },
    #[error(
        "value too long for option {option:?} in ipam.provide[{index}]: {length} bytes, \
         an option holds 255"
    )]
    TooLong {
        index: usize,
        option: String,
        length: usize,
    },
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("{0}; start it: dhcp daemon")]
    NotAvailable(CallError),
    #[error("failed to make CNI_NETNS {path:?} an absolute path: {cause}")]
    Netns { path: String, cause: std::io::Error },
    #[error("the lease is {leased}, which is not among the addresses in prevResult: {previous}")]
    NotInPrevResult { leased: String, previous: String },
    /// Not by a daemon that answers.
    #[error(transparent)]
    Held(#[from] LockError),
    #[error("leases in {}: {cause}", directory.display())]
    Leases {
        directory: PathBuf,
        cause: std::io::Error,
    },
    #[error("leases in {}: {}", directory.display(), faults.join("; "))]
    SomeLeases {
        directory: PathBuf,
        faults: Vec<String>,
    },
}

impl From<DhcpError> for Error {
    fn from(error: DhcpError) -> Self {
        use DhcpError as E;
        let code = match &error {
            E::NoIpam | E::NoFamily | E::Option { .. } | E::TooLong { .. } => code::INVALID_CONFIG,
            E::NotAvailable(_) => code::PLUGIN_NOT_AVAILABLE,
            E::Netns { .. } => code::INVALID_ENVIRONMENT,
            E::Held(LockError::Held { .. }) => code::TRY_AGAIN_LATER,
            E::Held(_) | E::Leases { .. } | E::SomeLeases { .. } => code::IO,
            E::Call(error) if error.is_unreachable() => code::TRY_AGAIN_LATER,
            E::Call(_) | E::NotInPrevResult { .. } => code::INTERNAL,
        };
        Self::new(code, error.to_string())
    }
}
