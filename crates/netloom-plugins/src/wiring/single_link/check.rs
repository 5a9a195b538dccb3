//! CHECK: the pod's link against the result of ADD.

use super::Site;
use crate::wiring::{Fault, check as wiring};
use netloom_kernel::rtnl::Link;
use netloom_plugin::CheckRequest;
use netloom_spec::Error;

/// Fails with the first difference. `examine` looks at what is the plugin's own.
pub(crate) fn check(
    request: &CheckRequest<'_>,
    kind: &str,
    examine: impl FnOnce(&Site<'_>, &Link) -> Result<(), Fault>,
) -> Result<(), Error> {
    let site = Site::open(request.if_name.as_str(), request.netns)?;
    let made = request.prev_result()?;
    request.forward_to_ipam()?;
    let (position, listed) = wiring::container_interface(&made, site.name, site.path)?;
    let link = wiring::of_kind(&site.inside, site.name, kind)?;
    wiring::owner(&link, request.container_id.as_str())?;
    examine(&site, &link)?;
    wiring::mac(&link, listed)?;
    wiring::up(&link)?;
    wiring::addresses(&site.inside, &link, &made, position)?;
    wiring::routes(&site.inside, &made)?;
    Ok(())
}
