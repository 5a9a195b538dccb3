//! The MTU that a configuration asks for.

use super::fault::invalid;
use netloom_spec::Error;

/// The smallest that IPv4 works with (RFC 791), and so the kernel's for most links.
pub(crate) const SMALLEST: u32 = 68;

/// The largest of links without a limit of their own: the longest packet of IPv4.
pub(crate) const LARGEST: u32 = 65535;

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
