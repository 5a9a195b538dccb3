//! DEL of the tuning plugin.

use super::backup::{Backup, Store};
use super::host_end;
use crate::wiring::identity::may_be_own;
use crate::wiring::owner::Owner;
use crate::wiring::{SetupError, record, sandbox};
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::Socket;
use netloom_plugin::{Cleanup, DelRequest};
use netloom_spec::Error;
use std::path::PathBuf;

/// Restores the interface from the backup, then removes the backup. If there is no interface any more,
/// the backup is just removed. What the kernel refuses to set is a warning, not an error: the interface
/// is about to go, and it must be possible to remove the pod.
pub(super) fn del(request: &DelRequest<'_>) -> Result<(), Error> {
    if record::lives_elsewhere(request) {
        return Ok(());
    }
    let store = Store::lenient(request.conf);
    let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
    let mut cleanup = Cleanup::new();
    let netns = sandbox::open_if_there(request.netns);
    let restored = match (netns, store.content(owner)) {
        (Ok(Some(netns)), Ok(Some(content))) => match Backup::parse(&content) {
            Some(backup) => restore(request, &netns, &backup),
            None => {
                let tell = |path: PathBuf| {
                    let path = path.display();
                    request.warn(&format!("{path} is no backup: nothing is restored from it"));
                };
                store.path(owner).map(tell)
            }
        },
        (Err(fault), _) => Err(fault.into()),
        (_, Err(error)) => Err(error),
        (Ok(None), _) | (_, Ok(None)) => Ok(()),
    };
    let done = restored.is_ok();
    cleanup.step("restore the interface", restored);
    if done {
        // Only then: the next DEL needs the backup to finish what failed here.
        cleanup.step("remove the backup", store.remove(owner));
    }
    cleanup.finish()
}

/// Sets the attributes of the backup on the link that it is of, if that is there.
fn restore(request: &DelRequest<'_>, netns: &Netns, backup: &Backup) -> Result<(), Error> {
    let name = request.if_name.as_str();
    let attributes = backup.attributes();
    let enter = || SetupError::kernel("failed to enter the netns");
    let inside = Socket::open_in(netns).map_err(enter())?;
    let look = || SetupError::kernel(format!("look up {name:?}"));
    let link = match &backup.netloom {
        // The path leads to another pod's namespace by now.
        Some(mark) if !mark.is_in(netns).map_err(look())? => None,
        Some(mark) => inside.find_link(mark.index).map_err(look())?,
        None => inside.find_link(name).map_err(look())?,
    };
    let Some(link) = link else { return Ok(()) };
    // The mark alone is no proof: when a namespace is gone, the kernel gives its inode to a new one.
    if let Some(made) = request.prev_result()
        && !may_be_own(&inside, &link, request.container_id.as_str(), &made).map_err(look())?
    {
        return Ok(());
    }
    if let Some(mtu) = attributes.mtu {
        host_end::give_back(request.prev_result().as_ref(), netns, &link, mtu)?;
    }
    let refused = attributes.set(&inside, link.index);
    for refused in refused.map_err(SetupError::kernel(format!("failed to restore {name:?}")))? {
        let fault = refused.fault("failed to restore", &link.name);
        request.warn(&fault.to_string());
    }
    Ok(())
}
