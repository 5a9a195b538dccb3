//! Whose a link is that has the right name.

use ipnet::IpNet;
use netloom_kernel::rtnl::{Link, LinkKind, Socket};
use netloom_spec::{AddResult, Interface, Mac};

/// Whether a link is the one that the result of ADD lists, and not that of a pod that has taken
/// over the path of the namespace.
///
/// Its MAC address tells, where it has one of its own, and so does an address of the result that is
/// on it: either may have been changed inside the pod. A link that shares its master's MAC address
/// and has other addresses is another's.
pub(crate) fn is_of_result(
    inside: &Socket,
    link: &Link,
    made: &AddResult,
) -> netloom_kernel::Result<bool> {
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
