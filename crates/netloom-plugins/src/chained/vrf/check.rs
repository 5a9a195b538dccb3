//! CHECK: the membership, and what the link has in the VRF.

use super::plan::Plan;
use super::{VrfLink, find, missing_prev_result};
use crate::wiring::check::{mismatch, missing_among, up};
use crate::wiring::tables::FAMILIES;
use crate::wiring::{SetupError, check as wiring, routes, sandbox};
use netloom_kernel::rtnl::LinkKind;
use netloom_plugin::CheckRequest;
use netloom_spec::Error;

/// Fails with the first difference.
pub(super) fn check(request: &CheckRequest<'_>) -> Result<(), Error> {
    let name = request.if_name.as_str();
    let plan = Plan::new(request.conf, name)?;
    let netns = sandbox::open(request.netns)?;
    let made = request
        .conf
        .prev_result()?
        .ok_or_else(missing_prev_result)?;
    let socket = sandbox::enter(&netns)?;

    let vrf_name = &plan.name;
    let device = find(&socket, vrf_name)?
        .ok_or_else(|| mismatch(format!("VRF {vrf_name} not found in the container")))?;
    let Some(vrf) = VrfLink::of(&device) else {
        let kind = device.kind.as_ref().map_or("none", LinkKind::name);
        return Err(mismatch(format!("{vrf_name} is not a VRF, its type is {kind}")).into());
    };
    if let Some(table) = plan.table.filter(|table| *table != vrf.table) {
        let what = format!(
            "VRF {vrf_name} has routing table {}, not {table}",
            vrf.table
        );
        return Err(mismatch(what).into());
    }
    up(&device)?;
    let link =
        find(&socket, name)?.ok_or_else(|| mismatch(format!("Interface name {name} not found")))?;
    if link.master != Some(vrf.index) {
        let what = format!("failed to find {name} associated to vrf {vrf_name}");
        return Err(mismatch(what).into());
    }

    let Some(position) = made.interfaces.iter().position(|i| i.name == name) else {
        return Ok(());
    };
    wiring::addresses(&socket, &link, &made, position)?;
    let mut found = Vec::new();
    for family in FAMILIES {
        let listed = routes::by_link(&socket, family, link.index, vrf.table);
        listed
            .map(|listed| found.extend(listed))
            .map_err(SetupError::kernel(format!(
                "list the routes of VRF {vrf_name}"
            )))?;
    }
    for ip in made.ips.iter().filter(|ip| ip.interface == Some(position)) {
        if let Some(route) = missing_among(&found, &made, ip.address, true) {
            let what = format!(
                "table {} of VRF {vrf_name} lacks {route} by {name}",
                vrf.table
            );
            return Err(mismatch(what).into());
        }
    }
    Ok(())
}
