//! The MTU that a configuration asks for.

use super::setup_error::{SetupError, invalid};
use ipnet::IpNet;
use netloom_spec::Error;

/// The smallest that IPv4 works with (RFC 791), and so the kernel's for most links.
pub(crate) const SMALLEST: u32 = 68;

/// The largest of links without a limit of their own: the longest packet of IPv4.
pub(crate) const LARGEST: u32 = 65535;

/// The smallest that IPv6 works with (RFC 8200): on links with less, the kernel turns IPv6 off.
const SMALLEST_OF_IPV6: u32 = 1280;

/// Refuses an IPv6 address for a link of this MTU.
pub(crate) fn refuse_without_ipv6(link: &str, mtu: u32, address: IpNet) -> Result<(), SetupError> {
    if mtu >= SMALLEST_OF_IPV6 {
        return Ok(());
    }
    let link = link.to_owned();
    Err(SetupError::SmallMtu { link, mtu, address })
}

/// Reads `mtu` of a link that has a master, in bytes. 0 leaves it to the kernel, which takes the master's.
/// Whether it is too large for the master, is checked [later](super::master::Master::mtu).
pub(crate) fn read_of_upper(value: i64) -> Result<u32, Error> {
    match u32::try_from(value) {
        Ok(mtu) if mtu == 0 || mtu >= SMALLEST => Ok(mtu),
        _ => Err(invalid(format!(
            "invalid MTU {value} (must be between {SMALLEST} and the master's, or 0 for that)"
        ))),
    }
}

/// Reads `mtu`, in bytes; 0 leaves it to the kernel.
pub(crate) fn read(value: i64, largest: u32) -> Result<u32, Error> {
    match u32::try_from(value) {
        Ok(mtu) if mtu == 0 || (SMALLEST..=largest).contains(&mtu) => Ok(mtu),
        _ => Err(invalid(format!(
            "invalid mtu {value} (must be between {SMALLEST} and {largest}, or 0 for the kernel's \
             default)"
        ))),
    }
}
