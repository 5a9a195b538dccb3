//! DEL: gives the addresses back, then removes the link.

use crate::wiring::owner::Owner;
use crate::wiring::record::{self, Record};
use crate::wiring::{SetupError, identity, sandbox};
use netloom_kernel::rtnl::{Link, LinkKind, LinkRef, Socket};
use netloom_plugin::{Cleanup, DelRequest};
use netloom_spec::Error;

/// Removes the attachment. Every step is done, whatever became of the others; absent objects are
/// success.
///
/// The IPAM plugin comes first, because dhcp gives its lease back through the link.
pub(crate) fn del(request: &DelRequest<'_>, kind: &str) -> Result<(), Error> {
    if record::lives_elsewhere(request) {
        return request.forward_to_foreign_ipam();
    }
    let mut cleanup = Cleanup::new();
    cleanup.step("release the addresses", request.forward_to_ipam());
    let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
    let removed = match Record::of(owner) {
        Some(record) => remove_by_record(request, kind, &record),
        None => remove_from_pod(request, kind),
    };
    // If the link is still there, the next DEL finds it by the record.
    if removed.is_ok() {
        cleanup.step("forget the attachment", record::forget(owner));
    }
    cleanup.step("remove the link", removed);
    cleanup.finish()
}

/// Removes the link by namespace and index, which the pod cannot change, unlike name, alias, MAC address
/// and addresses. The namespace is looked for at the path of DEL, then at that of ADD.
fn remove_by_record(
    request: &DelRequest<'_>,
    kind: &str,
    record: &Record,
) -> Result<(), SetupError> {
    let named = match sandbox::open_if_there(request.netns)? {
        Some(netns) => {
            let inside = sandbox::enter(&netns)?;
            record.is_in(&netns, &inside).then_some(inside)
        }
        None => None,
    };
    let Some(inside) = named.or_else(|| record.open().map(|(_, inside)| inside)) else {
        return Ok(());
    };
    let id = request.container_id.as_str();
    remove_link(&inside, record.index, kind, |link| {
        // Without a cookie, the namespace may be a later one with the same inode.
        Ok(record.is_certain() || identity::is_own(&inside, link, id, None)?)
    })
}

/// Removes the link by its name, if it looks like the attachment's.
fn remove_from_pod(request: &DelRequest<'_>, kind: &str) -> Result<(), SetupError> {
    let made = request.prev_result();
    let Some(netns) = sandbox::of_attachment(request, made.as_ref())? else {
        return Ok(());
    };
    let inside = sandbox::enter(&netns)?;
    let (name, id) = (request.if_name.as_str(), request.container_id.as_str());
    remove_link(&inside, name, kind, |link| {
        identity::is_own(&inside, link, id, made.as_ref())
    })
}

/// Removes the link if it is of that kind and `is_own`.
pub(super) fn remove_link<'a>(
    inside: &Socket,
    link: impl Into<LinkRef<'a>>,
    kind: &str,
    is_own: impl FnOnce(&Link) -> netloom_kernel::Result<bool>,
) -> Result<(), SetupError> {
    let wanted = link.into();
    let remove = || {
        let Some(link) = inside.find_link(wanted)? else {
            return Ok(());
        };
        let same_kind = link.kind.as_ref().map(LinkKind::name) == Some(kind);
        if same_kind && is_own(&link)? {
            inside.remove_link(link.index)?;
        }
        Ok(())
    };
    remove().map_err(SetupError::kernel(format!(
        "failed to remove {kind} {wanted}"
    )))
}
