//! Calling the IPAM plugin for ADD, and taking its answer over for one interface.

use super::SetupError;
use netloom_plugin::{AddRequest, Undo};
use netloom_spec::{AddResult, Error};

/// Asks the IPAM plugin for addresses and puts them, its routes and its DNS into the result;
/// the addresses belong to interface number `position`. Nothing happens without an IPAM plugin.
///
/// # Errors
/// The IPAM plugin's own; [`SetupError::NoAddresses`] when it gives none.
pub(crate) fn take_addresses<'r>(
    request: &'r AddRequest<'r>,
    position: usize,
    result: &mut AddResult,
    undo: &mut Undo<'r>,
) -> Result<(), Error> {
    let Some(ipam) = request.ipam() else {
        return Ok(());
    };
    let answer = ipam.add(undo)?;
    if answer.ips.is_empty() {
        return Err(SetupError::NoAddresses.into());
    }
    result.ips = answer.ips;
    result.routes = answer.routes;
    result.dns = answer.dns;
    for ip in &mut result.ips {
        ip.interface = Some(position);
    }
    Ok(())
}
