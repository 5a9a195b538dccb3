//! CHECK: the pod's link against the result of ADD.

use super::LinkSides;
use crate::wiring::{SetupError, check as wiring};
use netloom_kernel::rtnl::Link;
use netloom_plugin::CheckRequest;
use netloom_spec::Error;

/// Fails with the first difference. `examine` checks what only this plugin has.
pub(crate) fn check(
    request: &CheckRequest<'_>,
    kind: &str,
    examine: impl FnOnce(&LinkSides<'_>, &Link) -> Result<(), SetupError>,
) -> Result<(), Error> {
    let sides = LinkSides::open(request.if_name.as_str(), request.netns)?;
    let made = request.prev_result()?;
    request.forward_to_ipam()?;
    let (position, listed) = wiring::container_interface(&made, sides.name, sides.path)?;
    let link = wiring::of_kind(&sides.inside, sides.name, kind)?;
    wiring::owner(&link, request.container_id.as_str())?;
    examine(&sides, &link)?;
    wiring::mac(&link, listed)?;
    wiring::up(&link)?;
    wiring::addresses(&sides.inside, &link, &made, position)?;
    wiring::routes(&sides.inside, &made)?;
    Ok(())
}
