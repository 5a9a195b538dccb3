//! UDP has no beginnings: a flow that connection tracking knows keeps its way, whatever is mapped
//! or unmapped meanwhile. So flows of exactly the mappings that come or go are forgotten. Failures
//! are informative only.

use super::mapping::Transport;
use super::nftables::Mapped;
use netloom_kernel::conntrack::{Entry, Socket};
use netloom_kernel::{Error, Result, rtnl};
use netloom_plugin::Context;
use std::net::IpAddr;

/// With more ports than this, one list of all flows is shorter than one for each port.
const MOST_LISTS: usize = 16;

/// After ADD: flows to a mapped port of this host that do not lead to the pod.
pub(super) fn forget_stale(context: &Context<'_>, mapped: &[Mapped]) {
    let routes = match rtnl::Socket::open() {
        Ok(routes) => routes,
        Err(error) => return told(context, &error),
    };
    forget(context, mapped, |entry, mapping| {
        let at = entry.original.destination;
        let leads_there = leads_to(entry, mapping);
        // Packets that only pass through are nobody's mapping.
        let ours = || {
            let route = routes.lookup_route(at);
            route.is_ok_and(|route| route.kind == rtnl::RouteKind::Local)
        };
        !leads_there && mapping.host_ip.map_or_else(ours, |ip| ip == at)
    });
}

/// After DEL: flows through the mappings that are gone.
pub(super) fn forget_gone(context: &Context<'_>, mapped: &[Mapped]) {
    forget(context, mapped, |entry, mapping| {
        let at = entry.original.destination;
        leads_to(entry, mapping) && mapping.host_ip.is_none_or(|ip| ip == at)
    });
}

/// Whether the one that answers is the pod.
fn leads_to(entry: &Entry, mapping: &Mapped) -> bool {
    entry.reply.source == mapping.pod && entry.reply.source_port == mapping.container_port
}

fn forget(context: &Context<'_>, mapped: &[Mapped], is_stale: impl Fn(&Entry, &Mapped) -> bool) {
    let udp: Vec<&Mapped> = mapped
        .iter()
        .filter(|mapping| mapping.protocol == Transport::Udp)
        .collect();
    if udp.is_empty() {
        return;
    }
    if let Err(error) = forget_udp(&udp, is_stale)
        && !error.is_unsupported()
    {
        told(context, &error);
    }
}

fn forget_udp(udp: &[&Mapped], is_stale: impl Fn(&Entry, &Mapped) -> bool) -> Result<()> {
    let socket = Socket::open()?;
    if socket.count()? == 0 {
        return Ok(());
    }
    let number = Transport::Udp.number().0;
    let mut stale: Vec<Entry> = Vec::new();
    let mut sort_out = |entries: Vec<Entry>| {
        let stale_ones = entries.into_iter().filter(|entry| {
            let mut of_port = udp.iter().filter(|mapping| {
                mapping.host_port == entry.original.destination_port
                    && same_family(mapping.pod, entry.original.destination)
            });
            of_port.any(|mapping| is_stale(entry, mapping))
        });
        for entry in stale_ones {
            if !stale.contains(&entry) {
                stale.push(entry);
            }
        }
    };
    if udp.len() <= MOST_LISTS {
        for mapping in udp {
            let family = rtnl::Family::of(mapping.pod);
            sort_out(socket.list(family, number, Some(mapping.host_port))?);
        }
    } else {
        for family in [rtnl::Family::V4, rtnl::Family::V6] {
            sort_out(socket.list(family, number, None)?);
        }
    }
    socket.remove(&stale)
}

fn same_family(one: IpAddr, other: IpAddr) -> bool {
    one.is_ipv4() == other.is_ipv4()
}

fn told(context: &Context<'_>, error: &Error) {
    context.warn(&format!(
        "failed to delete stale UDP conntrack entries: {error}"
    ));
}
