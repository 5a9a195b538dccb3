//! DEL: the addresses go back, the link goes.

use crate::wiring::{Fault, identity, sandbox};
use netloom_kernel::rtnl::{Link, LinkKind, Socket};
use netloom_plugin::{Cleanup, DelRequest};
use netloom_spec::Error;

/// Removes the attachment. What is absent is success; every step is tried.
///
/// The IPAM plugin comes first: one that talks through the link, as DHCP does to give its lease
/// back, still can.
pub(crate) fn del(request: &DelRequest<'_>, kind: &str) -> Result<(), Error> {
    let mut cleanup = Cleanup::new();
    cleanup.step("release the addresses", request.forward_to_ipam());
    cleanup.step("remove the link", remove_from_pod(request, kind));
    cleanup.finish()
}

fn remove_from_pod(request: &DelRequest<'_>, kind: &str) -> Result<(), Fault> {
    let made = request.prev_result();
    let Some(netns) = sandbox::of_attachment(request, made.as_ref())? else {
        return Ok(());
    };
    let inside = Socket::open_in(&netns).map_err(Fault::kernel("failed to enter the netns"))?;
    let (name, id) = (request.if_name.as_str(), request.container_id.as_str());
    remove_link(&inside, name, kind, |link| {
        identity::is_own(&inside, link, id, made.as_ref())
    })
}

/// Removes the link of that name if it is of that kind and `is_own`.
pub(super) fn remove_link(
    inside: &Socket,
    name: &str,
    kind: &str,
    is_own: impl FnOnce(&Link) -> netloom_kernel::Result<bool>,
) -> Result<(), Fault> {
    let remove = || {
        let Some(link) = inside.find_link(name)? else {
            return Ok(());
        };
        let same_kind = link.kind.as_ref().map(LinkKind::name) == Some(kind);
        if same_kind && is_own(&link)? {
            inside.remove_link(link.index)?;
        }
        Ok(())
    };
    remove().map_err(Fault::kernel(format!("failed to remove {kind} {name:?}")))
}
