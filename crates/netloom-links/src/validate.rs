//! What is wanted, checked against itself and against what is there, before anything is changed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use netloom_kernel::rtnl::MacvlanMode;
use netloom_spec::Mac;

use crate::queue;
use crate::wanted::{Wanted, WantedEnd};
use crate::{End, Error, Far, Interface, Link, Outside, Place, Result, Side, Vxlan};

/// The MTU of a veth that was told none.
const VETH_MTU: u32 = 1500;
/// The smallest MTU that IPv6 works with.
const IPV6_MTU: u32 = 1280;

/// All links, or the first thing that is wrong. Changes nothing.
pub(crate) fn wanted<'l, 'p>(links: &'l [Link<'p>]) -> Result<Vec<Wanted<'l, 'p>>> {
    links.iter().try_for_each(by_itself)?;
    together(links)?;
    supported(links)?;
    links.iter().map(resolve).collect()
}

impl Link<'_> {
    /// Whether the link is possible, as far as that can be told without asking the kernel.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn validate(&self) -> Result<()> {
        by_itself(self)
    }
}

impl Interface {
    /// Whether the interface is possible, as far as that can be told without asking the kernel.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn validate(&self) -> Result<()> {
        interface(self).map_err(Error::Invalid)
    }
}

impl Outside {
    /// Whether the way is possible, as far as that can be told without asking the kernel.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn validate(&self) -> Result<()> {
        outside(self).map_err(Error::Invalid)
    }
}

fn by_itself(link: &Link<'_>) -> Result<()> {
    for (_, end) in link.ends() {
        let checked = interface(&end.interface).and_then(|()| gateways(&end.interface));
        checked.map_err(|words| {
            let name = &end.interface.name;
            Error::invalid(format!("interface {name:?} in {}: {words}", end.place))
        })?;
    }
    let Far::Outside { by, .. } = &link.far else {
        return Ok(());
    };
    outside(by).map_err(|words| {
        let name = &link.near.interface.name;
        Error::invalid(format!(
            "{} {name:?} in {}: {words}",
            by.kind(),
            link.near.place
        ))
    })?;
    if link.near.interface.mac.is_some() && matches!(by, Outside::Ipvlan { .. }) {
        let words = "an ipvlan has the hardware address of its parent; leave mac out";
        return Err(Error::invalid(words));
    }
    Ok(())
}

/// Whether the kernel and other programs take a name, of an interface or a longer one.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b"/:%".contains(&byte);
    (1..=127).contains(&name.len())
        && name.bytes().all(allowed)
        && ![".", "..", "lo", "all", "default"].contains(&name)
        && !crate::is_mark(name)
}

fn interface(wanted: &Interface) -> Result<(), String> {
    if !is_name(&wanted.name) {
        return Err(
            "this is no name for it; use up to 127 letters, digits, \"-\", \"_\" and \".\" \
                    (not lo, all or default)"
                .into(),
        );
    }
    if let Some(mac) = wanted.mac.filter(|mac| mac[0] & 1 != 0 || *mac == [0; 6]) {
        let mac = Mac(mac);
        return Err(format!(
            "mac {mac} is of no single interface; the first byte must be even, as in 02:00:00:00:00:01"
        ));
    }
    let has_ipv6 = wanted.addresses.iter().any(|net| net.addr().is_ipv6());
    match wanted.mtu {
        Some(mtu) if !(68..=65535).contains(&mtu) => {
            return Err(format!("mtu {mtu} is not from 68 to 65535"));
        }
        Some(mtu) if mtu < IPV6_MTU && has_ipv6 => {
            return Err(format!(
                "mtu {mtu} is too small for IPv6, which needs {IPV6_MTU}"
            ));
        }
        _ => {}
    }
    let mut seen = BTreeSet::new();
    for address in &wanted.addresses {
        let ip = address.addr();
        if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() {
            return Err(format!(
                "address {address} is of no interface; write one such as 192.0.2.1/24"
            ));
        }
        if !seen.insert(address) {
            return Err(format!("address {address} is there twice"));
        }
    }
    for route in &wanted.routes {
        let of = |ip: IpAddr| ip.is_ipv4();
        if let Some(gateway) = route.gateway
            && of(gateway) != of(route.destination.addr())
        {
            let to = route.destination;
            return Err(format!(
                "route {to} via {gateway}: one is IPv4 and the other IPv6"
            ));
        }
    }
    wanted
        .impairment
        .validate()
        .map_err(|error| error.to_string())
}

/// That each gateway is on the link: the kernel would say so only when the link is made.
fn gateways(wanted: &Interface) -> Result<(), String> {
    for route in &wanted.routes {
        let Some(gateway) = route.gateway else {
            continue;
        };
        let is_near = match gateway {
            IpAddr::V4(_) => false,
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        let mut direct = wanted.routes.iter().filter(|it| it.gateway.is_none());
        let on_link = wanted.addresses.iter().any(|it| it.contains(&gateway))
            || direct.any(|it| it.destination.contains(&gateway));
        if !is_near && !on_link {
            let to = route.destination;
            return Err(format!(
                "route {to} via {gateway}: no address of this end has {gateway} in its network"
            ));
        }
    }
    Ok(())
}

fn outside(by: &Outside) -> Result<(), String> {
    match by {
        Outside::Vxlan(vxlan) => tunnel(vxlan),
        Outside::Vlan { id, .. } if !(1..=4094).contains(id) => {
            Err(format!("id {id} is not from 1 to 4094"))
        }
        _ => Ok(()),
    }
}

fn tunnel(vxlan: &Vxlan) -> Result<(), String> {
    if !(1..=0xff_ffff).contains(&vxlan.vni) {
        return Err(format!("vni {} is not from 1 to 16777215", vxlan.vni));
    }
    if vxlan.port == 0 {
        return Err("port 0 is none; the usual one is 4789".into());
    }
    let remote = vxlan.remote;
    if remote.is_unspecified() || remote.is_loopback() {
        return Err(format!("remote {remote} is no other host"));
    }
    match vxlan.local {
        Some(local) if local.is_ipv4() != remote.is_ipv4() => Err(format!(
            "local {local} and remote {remote}: one is IPv4 and the other IPv6"
        )),
        Some(local) if local == remote => Err(format!("local and remote are both {local}")),
        _ => Ok(()),
    }
}

/// What no two links may have in common.
fn together(links: &[Link<'_>]) -> Result<()> {
    let mut ids = HashSet::new();
    let mut names = HashMap::new();
    let mut tunnels = HashSet::new();
    for link in links {
        let id = &link.id;
        if !ids.insert(id) {
            return Err(Error::invalid(format!(
                "link \"{}\" is there twice",
                id.link()
            )));
        }
        for (_, end) in link.ends() {
            let name = end.interface.kernel_name();
            if let Some(other) = names.insert((end.place.id(), name), id.link()) {
                let name = &end.interface.name;
                let place = end.place;
                return Err(Error::invalid(match other == id.link() {
                    true => format!("interface \"{name}\" in {place} is both ends of the link"),
                    false => format!(
                        "interface \"{name}\" in {place} is wanted by two links, \"{other}\" and \"{}\"",
                        id.link()
                    ),
                }));
            }
        }
        if let Far::Outside {
            base,
            by: Outside::Vxlan(vxlan),
        } = &link.far
            && !tunnels.insert((base.id(), vxlan.port, vxlan.vni))
        {
            let (vni, port) = (vxlan.vni, vxlan.port);
            return Err(Error::invalid(format!(
                "vni {vni} is wanted by two links; each of a host needs its own for UDP port {port}"
            )));
        }
    }
    Ok(())
}

/// Whether the kernel has all that is wanted.
fn supported(links: &[Link<'_>]) -> Result<()> {
    let mut kinds = BTreeSet::new();
    let mut disciplines = BTreeSet::new();
    for link in links {
        let socket = link.near.place.socket();
        if kinds.insert(link.kind()) && !socket.has_link_kind(link.kind())? {
            return Err(Error::Unsupported {
                what: match link.kind() {
                    kind @ "ipvlan" => format!("make an {kind}"),
                    kind => format!("make a {kind}"),
                },
                option: Error::option_of(link.kind()),
            });
        }
        for (_, end) in link.ends() {
            let Some(name) = queue::kind_for(&end.interface.impairment) else {
                continue;
            };
            if disciplines.insert(name) && !end.place.socket().has_discipline(name)? {
                return Err(queue::lacking(name, &end.interface.impairment));
            }
        }
    }
    Ok(())
}

/// Asks for what a link stands on and joins.
fn resolve<'l, 'p>(link: &'l Link<'p>) -> Result<Wanted<'l, 'p>> {
    let mut near = end(link, Side::A, &link.near)?;
    let (far, parent) = match &link.far {
        Far::End(far) => (Some(end(link, Side::B, far)?), None),
        Far::Outside { base, by } => {
            let parent = parent(base, by)?;
            match by {
                Outside::Vxlan(vxlan) => near.mtu = Some(tunnel_mtu(&near, base, vxlan)?),
                // These have that of the link they stand on.
                Outside::Ipvlan { .. }
                | Outside::Vlan { .. }
                | Outside::Macvlan {
                    mode: MacvlanMode::Passthru,
                    ..
                } => {
                    near.mac = link.near.interface.mac;
                }
                Outside::Macvlan { .. } | Outside::Dummy => {}
            }
            (None, parent)
        }
    };
    Ok(Wanted {
        link,
        near,
        far,
        parent,
    })
}

fn end<'l, 'p>(link: &'l Link<'p>, side: Side, end: &'l End<'p>) -> Result<WantedEnd<'l, 'p>> {
    let id = &link.id;
    let is_cable = matches!(link.far, Far::End(_));
    Ok(WantedEnd {
        id,
        place: end.place,
        interface: &end.interface,
        name: end.interface.kernel_name(),
        mark: id.mark(side),
        alias: id.alias(side),
        kind: link.kind(),
        mac: end.interface.mac.or(Some(id.mac(side))),
        mtu: end.interface.mtu.or(is_cable.then_some(VETH_MTU)),
        master: master(end)?,
    })
}

fn master(end: &End<'_>) -> Result<Option<u32>> {
    let Some(name) = &end.interface.bridge else {
        return Ok(None);
    };
    match end.place.socket().find_link(name)? {
        Some(bridge) if bridge.is_bridge() => Ok(Some(bridge.index)),
        Some(_) => Err(Error::invalid(format!(
            "bridge \"{name}\" in {} is no bridge",
            end.place
        ))),
        None => Err(Error::invalid(format!(
            "bridge \"{name}\" is not in {}; make it first (ip link add {name} type bridge)",
            end.place
        ))),
    }
}

fn parent(base: &Place, by: &Outside) -> Result<Option<u32>> {
    let Some(name) = by.parent() else {
        return Ok(None);
    };
    match base.socket().find_link(name)? {
        Some(parent) => Ok(Some(parent.index)),
        None => Err(Error::invalid(format!(
            "{} on \"{name}\": {base} has no interface of that name",
            by.kind()
        ))),
    }
}

/// The MTU of a tunnel: what was asked for, if the underlay carries it, or all that it carries.
fn tunnel_mtu(near: &WantedEnd<'_, '_>, base: &Place, vxlan: &Vxlan) -> Result<u32> {
    let remote = vxlan.remote;
    let socket = base.socket();
    let underlay = match &vxlan.device {
        Some(device) => socket.get_link(device)?,
        None => {
            let route = socket.lookup_route(remote).map_err(|error| {
                Error::invalid(format!(
                    "vxlan remote {remote} is not reached from {base}: {error}"
                ))
            })?;
            socket.get_link(route.device.unwrap_or_default())?
        }
    };
    let largest = underlay.mtu.saturating_sub(vxlan.overhead());
    match near.mtu {
        Some(mtu) if mtu > largest => Err(Error::invalid(format!(
            "mtu {mtu} of the vxlan \"{}\" is more than {largest}, which is what {} (mtu {}) carries \
             of it",
            near.interface.name, underlay.name, underlay.mtu
        ))),
        mtu => Ok(mtu.unwrap_or(largest)),
    }
}
