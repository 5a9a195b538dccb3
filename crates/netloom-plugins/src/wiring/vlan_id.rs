//! The number of a VLAN.

use super::setup_error::invalid;
use netloom_spec::Error;

/// The last VLAN; 4095 is reserved (IEEE 802.1Q, table 9-2).
pub(crate) const LAST: i64 = 4094;

/// Reads one; 0 is the number of frames without a VLAN.
pub(crate) fn read(value: i64) -> Result<u16, Error> {
    let id = u16::try_from(value).ok();
    id.filter(|id| i64::from(*id) <= LAST).ok_or_else(|| {
        invalid(format!(
            "invalid VLAN ID {value} (must be between 0 and {LAST})"
        ))
    })
}
