//! The host's end of the pod's veth.

use crate::wiring::SetupError;
use netloom_kernel::rtnl::{Link, Socket};
use netloom_spec::{AddResult, Error, code};

/// Finds it from the pod's end. An earlier plugin must have listed it.
pub(super) fn find(
    inside: &Socket,
    host: &Socket,
    if_name: &str,
    made: &AddResult,
) -> Result<Link, Error> {
    if made.interfaces.is_empty() {
        return Err(failure("no interfaces provided: prevResult lists none"));
    }
    let peer = peer(inside, if_name).map_err(SetupError::kernel(format!("look up {if_name:?}")))?;
    let (index, peer) =
        peer.ok_or_else(|| failure(format!("container interface {if_name} has no veth peer")))?;
    let found = host.find_link(peer).map_err(SetupError::kernel(format!(
        "look up the peer of {if_name:?}"
    )))?;
    let link = found
        .filter(|link| is_peer(link, index))
        .ok_or_else(|| failure(format!("veth peer with index {peer} is not in host ns")))?;
    if is_listed(&link, made) {
        Ok(link)
    } else {
        Err(failure(format!(
            "no veth peer of container interface found in host ns: prevResult does not list {}",
            link.name
        )))
    }
}

/// Finds it for DEL, listed or not. `None` if it or the pod's end is gone.
pub(super) fn find_if_there(
    inside: &Socket,
    host: &Socket,
    if_name: &str,
) -> netloom_kernel::Result<Option<Link>> {
    let Some((index, peer)) = peer(inside, if_name)? else {
        return Ok(None);
    };
    Ok(host.find_link(peer)?.filter(|link| is_peer(link, index)))
}

/// Whether a result lists it among the host's links.
pub(super) fn is_listed(link: &Link, made: &AddResult) -> bool {
    let mut listed = made.interfaces.iter();
    listed.any(|interface| interface.sandbox.is_empty() && interface.name == link.name)
}

/// The index of the pod's end, and that of its peer.
fn peer(inside: &Socket, if_name: &str) -> netloom_kernel::Result<Option<(u32, u32)>> {
    let link = inside.find_link(if_name)?.filter(Link::is_veth);
    Ok(link.and_then(|link| Some((link.index, link.lower?))))
}

/// Any namespace may have a link of that index.
fn is_peer(link: &Link, index: u32) -> bool {
    link.is_veth() && link.lower == Some(index)
}

fn failure(text: impl Into<String>) -> Error {
    Error::new(code::INTERNAL, text)
}
