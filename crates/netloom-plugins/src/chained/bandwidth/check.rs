//! CHECK: what shapes the pod's traffic against the configuration.

use super::plan::Plan;
use super::shape::{self, OtherEnd};
use super::{host_end, ifb};
use crate::wiring::check::{mismatch, up};
use crate::wiring::owner::Owner;
use crate::wiring::setup_error::invalid;
use crate::wiring::{SetupError, sandbox};
use netloom_kernel::rtnl::{Link, Socket};
use netloom_plugin::CheckRequest;
use netloom_spec::Error;

/// Fails with the first difference.
pub(super) fn check(request: &CheckRequest<'_>) -> Result<(), Error> {
    let plan = Plan::new(request.conf)?;
    let made = request.conf.prev_result()?;
    let made = made.ok_or_else(|| invalid("must be called as a chained plugin"))?;
    let netns = sandbox::open(request.netns)?;
    if !plan.limits_anything() {
        return Ok(());
    }
    let inside =
        Socket::open_in(&netns).map_err(SetupError::kernel("failed to enter the netns"))?;
    let host = Socket::open().map_err(SetupError::kernel("failed to reach the kernel"))?;
    let link = host_end::find(&inside, &host, request.if_name.as_str(), &made)?;
    if let Some(limit) = plan.ingress {
        shape::check_limit(&host, &link, limit, &plan.subnets, OtherEnd::Source)?;
    }
    if let Some(limit) = plan.egress {
        let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
        let ifb = find_ifb(&host, owner)?;
        shape::check_limit(&host, &ifb, limit, &plan.subnets, OtherEnd::Destination)?;
        redirected(&host, &link, &ifb)?;
    }
    Ok(())
}

fn find_ifb(host: &Socket, owner: Owner<'_>) -> Result<Link, SetupError> {
    let found = ifb::find(host, owner).map_err(SetupError::kernel("look up the ifb"))?;
    let name = owner.ifb_name();
    let ifb = found.ok_or_else(|| mismatch(format!("get ifb device: link {name} not found")))?;
    up(&ifb)?;
    Ok(ifb)
}

/// Upstream redirects twice, which is as good.
fn redirected(host: &Socket, link: &Link, ifb: &Link) -> Result<(), SetupError> {
    let failed = SetupError::kernel(format!("look at the filters of {:?}", link.name));
    if shape::is_redirected(host, link.index, &[ifb.index]).map_err(failed)? {
        return Ok(());
    }
    Err(mismatch(format!(
        "Failed to find filter of {} that redirects what the container sends to {}",
        link.name, ifb.name
    )))
}
