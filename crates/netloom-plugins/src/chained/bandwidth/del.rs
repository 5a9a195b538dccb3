//! DEL.

use super::plan::Plan;
use super::shape;
use super::{host_end, ifb};
use crate::wiring::owner::Owner;
use crate::wiring::{SetupError, record, sandbox};
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::tc::{Discipline, Handle};
use netloom_kernel::rtnl::{Link, Socket};
use netloom_plugin::{Cleanup, DelRequest};
use netloom_spec::Error;

/// Removes the ifb, known by the attachment's identity, and what is left on the host's end of the
/// veth, which is usually about to go.
pub(super) fn del(request: &DelRequest<'_>) -> Result<(), Error> {
    if record::lives_elsewhere(request) {
        return Ok(());
    }
    let mut cleanup = Cleanup::new();
    let unshaped = unshape(request, &mut cleanup);
    cleanup.step("unshape the container", unshaped);
    cleanup.finish()
}

fn unshape(request: &DelRequest<'_>, cleanup: &mut Cleanup) -> Result<(), SetupError> {
    let host = Socket::open().map_err(SetupError::kernel("failed to reach the kernel"))?;
    let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
    let ifb = ifb::find(&host, owner).map_err(SetupError::kernel("look up the ifb"))?;
    // With a configuration that cannot be read, anything may have been limited.
    let plan = Plan::new(request.conf).ok();
    if ifb.is_none() && plan.as_ref().is_some_and(|plan| !plan.limits_anything()) {
        return Ok(());
    }
    let mut batch = host.batch();
    let shaped = sandbox::open_if_there(request.netns).and_then(|netns| match netns {
        Some(netns) => shaped(request, &host, &netns, ifb.as_ref(), plan.as_ref()),
        None => Ok(Vec::new()),
    });
    match shaped {
        Ok(places) => {
            for (link, place) in places {
                batch.remove_qdisc(link, place);
            }
        }
        Err(fault) => cleanup.step("look at the container's veth", Err(fault)),
    }
    if let Some(ifb) = ifb {
        batch.remove_link(ifb.index);
    }
    let failed = || SetupError::kernel("failed to unshape the container");
    for (_, error) in batch.commit_all().map_err(failed())?.failures {
        cleanup.step("unshape the container", Err(failed()(error)));
    }
    Ok(())
}

/// What of ours is on the host's end. That the path of the namespace may be another pod's by now
/// is seen by the result, or by where the filter leads to.
fn shaped(
    request: &DelRequest<'_>,
    host: &Socket,
    netns: &Netns,
    ifb: Option<&Link>,
    plan: Option<&Plan>,
) -> Result<Vec<(u32, Handle)>, SetupError> {
    let failed = || SetupError::kernel("look up the container's veth");
    let inside = Socket::open_in(netns).map_err(failed())?;
    let link = host_end::find_if_there(&inside, host, request.if_name.as_str());
    let Some(link) = link.map_err(failed())? else {
        return Ok(Vec::new());
    };
    let made = request.prev_result();
    let listed = made.is_some_and(|made| host_end::is_listed(&link, &made));
    let mut places = Vec::new();
    // What led to an ifb that is gone, by a DEL of upstream or one that failed, leads to nothing.
    let ours: Vec<u32> = ifb
        .map(|ifb| ifb.index)
        .into_iter()
        .chain(listed.then_some(shape::NOWHERE))
        .collect();
    let leads_to_ours = shape::is_redirected(host, link.index, &ours).map_err(failed())?;
    if leads_to_ours {
        places.push((link.index, Handle::INGRESS));
    }
    let limited = plan.is_none_or(|plan| plan.ingress.is_some());
    if limited && (listed || leads_to_ours) {
        let root = host
            .find_qdisc(link.index, Handle::ROOT)
            .map_err(failed())?;
        let is_ours = |discipline: &Discipline| {
            matches!(discipline, Discipline::Tbf(_) | Discipline::Htb { .. })
        };
        if root.is_some_and(|root| root.handle == shape::ROOT && is_ours(&root.discipline)) {
            places.push((link.index, Handle::ROOT));
        }
    }
    Ok(places)
}
