//! Forgets tracked UDP flows. UDP has no connections that begin and end: as long as connection tracking
//! knows a flow, its packets keep their way, even if a port is mapped or unmapped meanwhile. So the
//! kernel is told to forget the flows of exactly the mappings that come or go. A failure is only a
//! warning.
//!
//! The kernel forgets the IPv4 flows that a filter names in a tenth of a millisecond. A list of what
//! it knows takes it several, however little that is: flows are listed, and forgotten one by one,
//! only for IPv6, on old kernels, and where many filters would be needed.

use super::mapping::Transport;
use super::nftables::Mapped;
use netloom_kernel::conntrack::{Entry, Flows, Socket, list_few};
use netloom_kernel::{Result, rtnl};
use netloom_plugin::Context;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// With more filters than this, lists are faster.
const MOST_FILTERS: usize = 32;
/// So many connections are read as text in about the time of one list over netlink.
const FEW: u32 = 2000;
/// With more ports than this, one list of all flows is shorter than one for each port.
const MOST_LISTS: usize = 4;

/// After ADD: flows to a mapped port of this host that do not lead to the pod.
pub(super) fn forget_stale(context: &Context<'_>, mapped: &[Mapped]) {
    // Listed once, for all mappings.
    let mut own: Option<BTreeSet<Ipv4Addr>> = None;
    let filters = |routes: &rtnl::Socket, mapping: &Mapped| {
        let at = match (mapping.host_ip, &own) {
            (Some(IpAddr::V4(ip)), _) => BTreeSet::from([ip]),
            (_, Some(own)) => own.clone(),
            (_, None) => own.insert(own_addresses(routes)?).clone(),
        };
        let to = |ip| Flows {
            to: Some(ip),
            ..to_port(mapping)
        };
        Ok(at.into_iter().map(to).collect())
    };
    forget(context, mapped, filters, |routes, entry, mapping| {
        let at = entry.original.destination;
        // A flow that only passes through this host belongs to no mapping.
        let ours = || {
            let route = routes.lookup_route(at);
            route.is_ok_and(|route| route.kind == rtnl::RouteKind::Local)
        };
        !leads_to(entry, mapping) && mapping.host_ip.map_or_else(ours, |ip| ip == at)
    });
}

/// After DEL: flows through the mappings that are gone.
pub(super) fn forget_gone(context: &Context<'_>, mapped: &[Mapped]) {
    let filters = |_: &rtnl::Socket, mapping: &Mapped| {
        let pod = v4(mapping.pod).map(|pod| (pod, mapping.container_port));
        Ok(vec![Flows {
            to: mapping.host_ip.and_then(v4),
            answered_by: pod,
            ..to_port(mapping)
        }])
    };
    forget(context, mapped, filters, |_, entry, mapping| {
        let at = entry.original.destination;
        leads_to(entry, mapping) && mapping.host_ip.is_none_or(|ip| ip == at)
    });
}

/// Whether it is the pod that answers.
fn leads_to(entry: &Entry, mapping: &Mapped) -> bool {
    entry.reply.source == mapping.pod && entry.reply.source_port == mapping.container_port
}

/// All flows to the mapping's port.
fn to_port(mapping: &Mapped) -> Flows {
    Flows {
        protocol: Transport::Udp.number().0,
        to_port: mapping.host_port,
        to: None,
        answered_by: None,
    }
}

/// The addresses that others may have sent to.
fn own_addresses(routes: &rtnl::Socket) -> Result<BTreeSet<Ipv4Addr>> {
    let all = routes.list_all_addresses()?;
    Ok(all
        .into_iter()
        .filter_map(|it| v4(it.address.addr()))
        .collect())
}

fn v4(ip: IpAddr) -> Option<Ipv4Addr> {
    match ip {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    }
}

/// `filters` name flows of an IPv4 mapping; `is_stale` tells of a flow to a mapping's port whether it
/// is one of those.
fn forget(
    context: &Context<'_>,
    mapped: &[Mapped],
    filters: impl FnMut(&rtnl::Socket, &Mapped) -> Result<Vec<Flows>>,
    is_stale: impl Fn(&rtnl::Socket, &Entry, &Mapped) -> bool,
) {
    let udp: BTreeSet<&Mapped> = mapped
        .iter()
        .filter(|mapping| mapping.protocol == Transport::Udp)
        .collect();
    if udp.is_empty() {
        return;
    }
    if let Err(error) = forget_udp(&udp, filters, is_stale)
        && !error.is_unsupported()
    {
        let text = format!("failed to delete stale UDP conntrack entries: {error}");
        context.warn(&text);
    }
}

fn forget_udp(
    udp: &BTreeSet<&Mapped>,
    mut filters: impl FnMut(&rtnl::Socket, &Mapped) -> Result<Vec<Flows>>,
    is_stale: impl Fn(&rtnl::Socket, &Entry, &Mapped) -> bool,
) -> Result<()> {
    let socket = Socket::open()?;
    let count = socket.count()?;
    if count == 0 {
        return Ok(());
    }
    let routes = rtnl::Socket::open()?;
    let (of_v4, mut to_list): (Vec<&Mapped>, Vec<&Mapped>) =
        udp.iter().partition(|mapping| mapping.pod.is_ipv4());
    let mut named = Vec::new();
    for mapping in of_v4.iter().take(MOST_FILTERS + 1) {
        named.extend(filters(&routes, mapping)?);
    }
    if named.len() > MOST_FILTERS || socket.remove_all(&named).is_err() {
        to_list.extend(of_v4);
    }
    if to_list.is_empty() {
        return Ok(());
    }
    let mut by_port: BTreeMap<(u16, bool), Vec<&Mapped>> = BTreeMap::new();
    for mapping in &to_list {
        let at = (mapping.host_port, mapping.pod.is_ipv4());
        by_port.entry(at).or_default().push(mapping);
    }
    let mut stale = list(&socket, count, &to_list)?;
    stale.retain(|entry| {
        let original = &entry.original;
        let at = (original.destination_port, original.destination.is_ipv4());
        let mut of_port = by_port.get(&at).into_iter().flatten();
        of_port.any(|mapping| is_stale(&routes, entry, mapping))
    });
    socket.remove(&stale)
}

/// The flows among which those to the mappings' ports are.
fn list(socket: &Socket, count: u32, udp: &[&Mapped]) -> Result<Vec<Entry>> {
    let number = Transport::Udp.number().0;
    if count <= FEW
        && let Some(entries) = list_few(number)?
    {
        return Ok(entries);
    }
    let mut entries = Vec::new();
    if udp.len() <= MOST_LISTS {
        for mapping in udp {
            let family = rtnl::Family::of(mapping.pod);
            entries.extend(socket.list(family, number, Some(mapping.host_port))?);
        }
    } else {
        for family in [rtnl::Family::V4, rtnl::Family::V6] {
            entries.extend(socket.list(family, number, None)?);
        }
    }
    Ok(entries)
}
