//! CHECK: what is observed in the pod against the result of ADD.

use super::{SetupError, gateway, identity};
use ipnet::IpNet;
use netloom_kernel::rtnl::{
    Family, Link, LinkKind, Route as KernelRoute, RouteFilter, Socket, table,
};
use netloom_spec::{AddResult, Interface, Mac, Route};
use std::net::IpAddr;

/// A difference, in words.
pub(crate) fn mismatch(text: impl Into<String>) -> SetupError {
    SetupError::Mismatch(text.into())
}

/// The container's interface in the result.
pub(crate) fn container_interface<'a>(
    result: &'a AddResult,
    if_name: &str,
    netns: &str,
) -> Result<(usize, &'a Interface), SetupError> {
    let listed = || {
        result
            .interfaces
            .iter()
            .enumerate()
            .filter(|(_, i)| i.name == if_name)
    };
    if let Some(found) = listed().find(|(_, interface)| interface.sandbox == netns) {
        return Ok(found);
    }
    let sandbox = listed()
        .map(|(_, interface)| interface.sandbox.as_str())
        .next();
    Err(mismatch(match sandbox {
        Some(sandbox) => {
            format!("Sandbox in prevResult {sandbox} doesn't match configured netns: {netns}")
        }
        None => format!("prevResult lists no interface {if_name:?} in netns {netns}"),
    }))
}

/// The veth of that name.
pub(crate) fn veth(socket: &Socket, name: &str) -> Result<Link, SetupError> {
    let found = socket
        .find_link(name)
        .map_err(SetupError::kernel(format!("look up {name:?}")))?;
    let link = found.ok_or_else(|| mismatch(format!("Interface name {name} not found")))?;
    if link.is_veth() {
        Ok(link)
    } else {
        Err(mismatch(format!(
            "Error: interface {name} not of type veth"
        )))
    }
}

/// The container's interface, which must be of this kind, by the kernel's name for it.
pub(crate) fn of_kind(inside: &Socket, name: &str, kind: &str) -> Result<Link, SetupError> {
    let found = inside
        .find_link(name)
        .map_err(SetupError::kernel(format!("look up {name:?}")))?;
    let link = found.ok_or_else(|| mismatch(format!("Interface name {name} not found")))?;
    match link.kind.as_ref().map_or("none", LinkKind::name) {
        found if found == kind => Ok(link),
        found => Err(mismatch(format!(
            "Error: Container interface {name} not of type {kind}: it is of type {found}"
        ))),
    }
}

/// The link does not bear the mark of another container, as one that has the path of the namespace
/// now would.
pub(crate) fn owner(link: &Link, container_id: &str) -> Result<(), SetupError> {
    match identity::marked(link) {
        Some(mark) if mark != identity::mark(container_id) => Err(mismatch(format!(
            "Interface {} is another container's: its alias is {mark}",
            link.name
        ))),
        _ => Ok(()),
    }
}

/// The link is up.
pub(crate) fn up(link: &Link) -> Result<(), SetupError> {
    if link.flags.is_up() {
        return Ok(());
    }
    Err(mismatch(format!("Interface {} is down", link.name)))
}

/// The MAC address is the one of the result, where the result has one.
pub(crate) fn mac(link: &Link, listed: &Interface) -> Result<(), SetupError> {
    let wanted: Option<Mac> = listed.mac.parse().ok();
    if listed.mac.is_empty() || wanted.is_some_and(|wanted| link.mac == Some(wanted.0)) {
        return Ok(());
    }
    let actual = link.mac.map(|mac| Mac(mac).to_string()).unwrap_or_default();
    Err(mismatch(format!(
        "Interface {} Mac {} doesn't match the link's Mac: {actual}",
        listed.name, listed.mac
    )))
}

/// The MTU is the one of the result, where the result has one.
pub(crate) fn mtu(link: &Link, listed: &Interface) -> Result<(), SetupError> {
    if listed.mtu == 0 || listed.mtu == link.mtu {
        return Ok(());
    }
    Err(mismatch(format!(
        "Interface {} has mtu {}, not {}",
        link.name, link.mtu, listed.mtu
    )))
}

/// Every address of the result that belongs to interface number `position` is on the link.
pub(crate) fn addresses(
    pod: &Socket,
    link: &Link,
    result: &AddResult,
    position: usize,
) -> Result<(), SetupError> {
    let present = pod
        .list_addresses(link.index)
        .map_err(SetupError::kernel(format!(
            "list the addresses of {:?}",
            link.name
        )))?;
    for ip in result
        .ips
        .iter()
        .filter(|ip| ip.interface == Some(position))
    {
        if !present.iter().any(|address| address.address == ip.address) {
            return Err(mismatch(format!(
                "Failed to match addr {} on interface {}",
                ip.address, link.name
            )));
        }
    }
    Ok(())
}

/// Every route of the result exists: in its table when it names one, else in any, because
/// a later plugin of the chain may have moved it to a table of its own.
pub(crate) fn routes(pod: &Socket, result: &AddResult) -> Result<(), SetupError> {
    for v6 in [false, true] {
        let wanted: Vec<_> = result
            .routes
            .iter()
            .filter(|route| route.dst.addr().is_ipv6() == v6)
            .collect();
        if wanted.is_empty() {
            continue;
        }
        let family = if v6 { Family::V6 } else { Family::V4 };
        let present = pod
            .list_routes_where(&RouteFilter::main(family).table(table::ANY), |found| {
                wanted.iter().any(|route| route.dst.trunc() == found.dst)
            })
            .map_err(SetupError::kernel("list the routes"))?;
        for route in wanted {
            let hop = gateway::hop_of(route, &result.ips);
            if !present.iter().any(|found| is_route(found, route, hop)) {
                return Err(mismatch(missing_route(route, hop)));
            }
        }
    }
    Ok(())
}

fn is_route(found: &KernelRoute, route: &Route, hop: Option<IpAddr>) -> bool {
    found.dst == route.dst.trunc()
        && route
            .table
            .filter(|table| *table != 0)
            .is_none_or(|table| found.table == table)
        && (hop.is_none() || route.scope.is_some() || has_gateway(found, hop))
}

/// In words, the first route of the result that leads through a subnet and is not among those
/// found in the table that it should be in. A default route counts if `defaults`.
pub(crate) fn missing_among(
    found: &[KernelRoute],
    result: &AddResult,
    subnet: IpNet,
    defaults: bool,
) -> Option<String> {
    let wanted =
        |route: &&Route| gateway::in_main_table(route) && (defaults || route.dst.prefix_len() != 0);
    result.routes.iter().filter(wanted).find_map(|route| {
        let hop = route
            .gw
            .or_else(|| gateway::next_hop(&result.ips, route.dst.addr()))
            .filter(|hop| subnet.contains(hop))?;
        let is_it = |found: &KernelRoute| {
            let same_hop = route.scope.is_some() || has_gateway(found, Some(hop));
            found.dst == route.dst.trunc() && same_hop
        };
        let missing = !found.iter().any(is_it);
        missing.then(|| format!("the route to {} via {hop}", route.dst))
    })
}

fn missing_route(route: &Route, hop: Option<IpAddr>) -> String {
    let via = hop.map(|hop| format!(" via {hop}")).unwrap_or_default();
    let table = route
        .table
        .map(|table| format!(" table {table}"))
        .unwrap_or_default();
    format!(
        "Expected Route {}{via}{table} not found in routing table",
        route.dst
    )
}

fn has_gateway(found: &KernelRoute, hop: Option<IpAddr>) -> bool {
    found.gateway == hop || found.next_hops.iter().any(|next| next.gateway == hop)
}
