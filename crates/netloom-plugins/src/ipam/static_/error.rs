//! What can go wrong, in words that name the field, its value, and what would be right.

use std::net::IpAddr;

use ipnet::IpNet;
use netloom_plugin::{Error, Version, code};

#[derive(Debug, thiserror::Error)]
pub(super) enum StaticError {
    #[error("IPAM config missing 'ipam' key")]
    NoIpam,
    #[error(
        "ipam.addresses[{index}].address: the 'address' field is expected to be in CIDR notation, \
         got: '{value}', {CIDR}"
    )]
    Address { index: usize, value: String },
    #[error(
        "{field}[{index}]: an entry in the 'ips' field is NOT in CIDR notation, got: '{value}', {CIDR}"
    )]
    Ips {
        field: &'static str,
        index: usize,
        value: String,
    },
    #[error(
        "IP in CNI_ARGS: the 'ip' field is expected to be in CIDR notation, got: '{0}', {CIDR}"
    )]
    ArgsIp(String),
    #[error(
        "GATEWAY in CNI_ARGS: invalid gateway address: {0:?}, expected one such as 10.1.0.1 or fd00::1"
    )]
    ArgsGateway(String),
    #[error(
        "CNI version {version} does not support more than 1 address per family, got {}",
        list(.addresses)
    )]
    TooMany {
        version: Version,
        addresses: Vec<IpNet>,
    },
    #[error("address {address} is of {block}, which no host can have")]
    OfNobody { address: IpNet, block: IpNet },
    #[error("address {0} is given twice")]
    Twice(IpAddr),
    #[error("static: Failed to match addr {address} on interface {if_name}: prevResult lacks it")]
    Missing { address: IpNet, if_name: String },
    #[error(
        "static: Failed to match addr {address} on interface {if_name}: its prefix length in \
         prevResult is {observed}"
    )]
    Prefix {
        address: IpNet,
        if_name: String,
        observed: u8,
    },
    #[error(
        "static: Failed to match addr {address} on interface {if_name}: its gateway is {gateway}, \
         but in prevResult {}",
        .observed.map_or("it has none".to_owned(), |gateway| gateway.to_string())
    )]
    Gateway {
        address: IpNet,
        if_name: String,
        gateway: IpAddr,
        observed: Option<IpAddr>,
    },
}

/// What would be right for an address.
const CIDR: &str = "an address and its prefix length such as 10.1.0.5/24 or fd00::5/64";

impl From<StaticError> for Error {
    fn from(error: StaticError) -> Self {
        let code = match error {
            StaticError::NoIpam
            | StaticError::Address { .. }
            | StaticError::Ips { .. }
            | StaticError::OfNobody { .. }
            | StaticError::Twice(_)
            | StaticError::TooMany { .. } => code::INVALID_CONFIG,
            StaticError::ArgsIp(_) | StaticError::ArgsGateway(_) => code::INVALID_ENVIRONMENT,
            StaticError::Missing { .. }
            | StaticError::Prefix { .. }
            | StaticError::Gateway { .. } => code::INTERNAL,
        };
        Self::new(code, error.to_string())
    }
}

fn list(addresses: &[IpNet]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(" and ")
}
