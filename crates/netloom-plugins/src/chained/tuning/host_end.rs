//! The MTU of the host's end of a veth, which must be that of the pod's end. A veth silently drops packets
//! that are larger than the receiving end's MTU. With the same MTU at both ends, the host tells the
//! sender that a packet does not fit.

use crate::wiring::ends::Ends;
use crate::wiring::{SetupError, listed};
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{Link, LinkChange, Socket};
use netloom_plugin::Undo;
use netloom_spec::{AddResult, Version};

/// Gives the host's end the MTU that the pod's end has now, and writes it into the result. Only a veth to
/// the host has such an end.
pub(super) fn follow<'r>(
    result: &mut AddResult,
    pod: &Link,
    mtu: u32,
    version: Version,
    undo: &mut Undo<'r>,
) -> Result<(), SetupError> {
    let Some(end) = find(result, pod)?.filter(|end| end.mtu != mtu) else {
        return Ok(());
    };
    let (index, before) = (end.index, end.mtu);
    undo.on_failure(format!("restore the MTU of {}", end.name), move || {
        Ok(set(index, before).map_err(SetupError::kernel("failed to restore an MTU"))?)
    });
    set(index, mtu).map_err(SetupError::kernel(format!(
        "failed to set mtu {mtu} of {:?}, the host's end of {:?}",
        end.name, pod.name
    )))?;
    for interface in &mut result.interfaces {
        if interface.name == end.name && interface.sandbox.is_empty() {
            interface.mtu = listed::mtu(mtu, version);
        }
    }
    Ok(())
}

/// Gives the host's end back the MTU that both ends had before, if it has that of the pod's end now.
/// Without a result the kernel says which link it is.
pub(super) fn give_back(
    made: Option<&AddResult>,
    netns: &Netns,
    pod: &Link,
    mtu: u32,
) -> Result<(), SetupError> {
    let end = match made {
        Some(made) => find(made, pod)?,
        None => other_end(netns, pod).map_err(SetupError::kernel("look up the host's end"))?,
    };
    match end.filter(|end| end.mtu == pod.mtu && end.mtu != mtu) {
        Some(end) => match set(end.index, mtu) {
            Err(error) if !error.is_absent() => Err(SetupError::kernel(format!(
                "failed to restore mtu {mtu} of {:?}",
                end.name
            ))(error)),
            _ => Ok(()),
        },
        None => Ok(()),
    }
}

fn set(index: u32, mtu: u32) -> netloom_kernel::Result<()> {
    Socket::open()?.set_link(index, &LinkChange::new().mtu(mtu))
}

/// The link of the host whose other end is this link of the pod, if that is a veth to the host.
fn other_end(netns: &Netns, pod: &Link) -> netloom_kernel::Result<Option<Link>> {
    let Some(index) = pod.lower.filter(|_| pod.is_veth()) else {
        return Ok(None);
    };
    let host = Socket::open()?;
    // Other namespaces have links with the same indexes.
    let Some(number) = host.namespace_id(netns)? else {
        return Ok(None);
    };
    let is_end = |end: &Link| {
        end.is_veth() && end.lower == Some(pod.index) && end.lower_netns == Some(number)
    };
    Ok(host.find_link(index)?.filter(is_end))
}

/// The link that the result lists as the host's end, if it is the other end of this link of the pod.
fn find(made: &AddResult, pod: &Link) -> Result<Option<Link>, SetupError> {
    let Some(listed) = Ends::of(made, &pod.name).host.filter(|_| pod.is_veth()) else {
        return Ok(None);
    };
    let look = || Socket::open()?.find_link(&listed.name);
    let found = look().map_err(SetupError::kernel(format!("look up {:?}", listed.name)))?;
    let is_end =
        |end: &Link| end.is_veth() && end.lower == Some(pod.index) && pod.lower == Some(end.index);
    Ok(found.filter(is_end))
}
