//! Moving the device into the pod.

use super::error::Failure;
use super::give_back::give_back;
use super::loan::Loan;
use super::selector::{Device, Selector};
use super::sysfs::Sysfs;
use crate::wiring::owner::Owner;
use crate::wiring::record::Record;
use crate::wiring::{SetupError, sandbox};
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{Link, LinkChange, Socket};
use netloom_plugin::{AddRequest, Undo};
use netloom_spec::Error;

/// Moves the device into the pod, under `CNI_IFNAME`. It is down there, so that nothing comes in
/// before it is set as the pod's should be.
///
/// The alias is set while the device is still on the host: from then on it is known wherever it
/// is. The rest is one message to the kernel, so nobody can be killed in the midst of it.
pub(super) fn lend<'r>(
    host: &Socket,
    device: &Device,
    netns: &Netns,
    request: &'r AddRequest<'r>,
    sysfs: &Sysfs,
    undo: &mut Undo<'r>,
) -> Result<(), Failure> {
    let (link, name) = (&device.link, request.if_name.as_str());
    let before = device.clone();
    let sysfs = sysfs.clone();
    undo.on_failure(format!("bring {:?} back", device.host_name), move || {
        take_back(request, &before, &sysfs)
    });
    let alias = &device.host_name;
    host.set_link(link.index, &LinkChange::new().alias(alias))
        .map_err(SetupError::kernel(format!(
            "failed to set the alias of {:?} to its name",
            link.name
        )))?;
    let change = LinkChange::new().alias(alias);
    host.move_link_as(link.index, netns, name, &change)
        .map_err(SetupError::kernel(format!(
            "failed to move {:?} to the container as {name:?}",
            link.name
        )))?;
    Ok(())
}

/// Makes the device what it was before ADD, wherever ADD got to.
fn take_back(request: &AddRequest<'_>, before: &Device, sysfs: &Sysfs) -> Result<(), Error> {
    let netns = sandbox::open_if_there(Some(request.netns))?;
    let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
    let loan = Loan {
        if_name: request.if_name.as_str(),
        selector: Some(Selector::Name(before.host_name.clone())),
        address: Some(before.link.address.clone()),
        record: Record::of(owner),
        made: None,
        sysfs,
    };
    give_back(netns.as_ref(), &loan)?;
    let host = Socket::open().map_err(SetupError::kernel("failed to reach the kernel"))?;
    let change = was(&before.link);
    host.set_link(&before.host_name, &change)
        .map_err(SetupError::kernel(format!(
            "failed to restore {:?} to what it was",
            before.host_name
        )))?;
    Ok(())
}

/// What giving back does not restore: alias, master, whether it was up. (Its addresses and routes
/// were lost with the move.)
fn was(link: &Link) -> LinkChange<'_> {
    let alias = link.alias.as_deref().unwrap_or_default();
    let mut change = LinkChange::new().alias(alias);
    if let Some(master) = link.master {
        change = change.master(master);
    }
    if link.flags.is_up() {
        change = change.up();
    }
    change
}
