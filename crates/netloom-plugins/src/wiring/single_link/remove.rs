//! DEL: the addresses go back, the link goes.

use crate::wiring::{Fault, sandbox};
use ipnet::IpNet;
use netloom_kernel::rtnl::{Link, LinkKind, Socket};
use netloom_plugin::{Cleanup, DelRequest};
use netloom_spec::{AddResult, Error, Interface, Mac};

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
    let Some(netns) = sandbox::open_if_there(request.netns)? else {
        return Ok(());
    };
    let inside = Socket::open_in(&netns).map_err(Fault::kernel("failed to enter the netns"))?;
    let made = request.prev_result();
    let name = request.if_name.as_str();
    remove_link(&inside, name, kind, |link| match &made {
        Some(made) => is_of_result(&inside, link, made),
        None => Ok(true),
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

/// Whether a link is the one that the result of ADD lists, and not that of a pod that has taken
/// over the path of the namespace.
///
/// Its MAC address tells, where it has one of its own, and so does an address of the result that is
/// on it: either may have been changed inside the pod. A link that shares its master's MAC address
/// and has other addresses is another's.
fn is_of_result(inside: &Socket, link: &Link, made: &AddResult) -> netloom_kernel::Result<bool> {
    let Some(position) = made.interfaces.iter().position(|i| i.name == link.name) else {
        return Ok(true);
    };
    let own_mac = has_own_mac(link);
    if own_mac && is_mac_of(&made.interfaces[position], link) {
        return Ok(true);
    }
    let mut ips = made
        .ips
        .iter()
        .filter(|ip| ip.interface.is_none_or(|of| of == position))
        .map(|ip| ip.address)
        .peekable();
    let present: Vec<IpNet> = inside
        .list_addresses(link.index)?
        .into_iter()
        .map(|address| address.address)
        .filter(is_global)
        .collect();
    if !own_mac && (present.is_empty() || ips.peek().is_none()) {
        return Ok(true);
    }
    Ok(ips.any(|ip| present.contains(&ip)))
}

fn has_own_mac(link: &Link) -> bool {
    !matches!(link.kind, Some(LinkKind::Ipvlan(_) | LinkKind::Vlan { .. }))
}

fn is_mac_of(listed: &Interface, link: &Link) -> bool {
    let wanted: Option<Mac> = listed.mac.parse().ok();
    wanted.is_none_or(|wanted| link.mac == Some(wanted.0))
}

fn is_global(net: &IpNet) -> bool {
    match net {
        IpNet::V4(net) => !net.addr().is_link_local(),
        IpNet::V6(net) => !net.addr().is_unicast_link_local(),
    }
}
