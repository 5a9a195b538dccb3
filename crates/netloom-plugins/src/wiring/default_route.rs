//! The default routes of a pod with several networks.
//!
//! In each family the default route of the first network counts. The one of a later network gets a
//! higher metric, unless its configuration names one. With equal metrics the kernel would use the last
//! one for IPv4, and all of them in turn for IPv6.

use super::{SetupError, gateway, tables};
use netloom_kernel::rtnl::{Family, Route as KernelRoute, RouteFilter, RouteKind, Socket, table};
use netloom_spec::Route;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The metric of an IPv6 route that names none. The metrics of later networks are above it.
const USUAL_METRIC: u32 = 1024;

/// An address to which only a default route leads: it is reserved for documentation (RFC 5737, RFC 9637).
fn anywhere(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 1)),
    }
}

/// The default route of a family in the main table that counts. It is found by one look-up, unless
/// a rule or another route hides it: that of a VPN, for example.
pub(crate) fn find(socket: &Socket, family: Family) -> Result<Option<KernelRoute>, SetupError> {
    match socket.match_route(anywhere(family)) {
        Ok(route) if in_main(&route) => Ok(Some(route)),
        _ => Ok(list(socket, family)?.into_iter().next()),
    }
}

/// Gives a metric to the attachment's default routes that name none, above those of the default routes
/// that the pod has. All of the attachment's get the same one: they may be meant to share the traffic.
pub(crate) fn stand_behind(socket: &Socket, routes: &mut [Route]) -> Result<(), SetupError> {
    for family in tables::FAMILIES {
        let mut own: Vec<_> = (routes.iter_mut())
            .filter(|route| leaves_it_open(route) && Family::of(route.dst.addr()) == family)
            .collect();
        if own.is_empty() {
            continue;
        }
        let Some(highest) = highest_metric(socket, family)? else {
            continue;
        };
        let behind = highest.max(USUAL_METRIC).saturating_add(1);
        own.iter_mut().for_each(|route| route.priority = behind);
    }
    Ok(())
}

/// Whether it is a default route of the main table without a metric.
fn leaves_it_open(route: &Route) -> bool {
    route.dst.prefix_len() == 0 && route.priority == 0 && gateway::in_main_table(route)
}

/// The highest metric of the default routes that are there. Mostly there is none yet, which one look-up
/// tells.
fn highest_metric(socket: &Socket, family: Family) -> Result<Option<u32>, SetupError> {
    match socket.match_route(anywhere(family)) {
        Err(error) if error.is_unreachable() || error.is_unsupported() => Ok(None),
        Err(error) if !error.is_dropped() => {
            Err(SetupError::kernel("look for a default route")(error))
        }
        _ => Ok(list(socket, family)?.last().map(|route| route.priority)),
    }
}

/// The default routes of the main table, sorted by metric.
fn list(socket: &Socket, family: Family) -> Result<Vec<KernelRoute>, SetupError> {
    let everything = gateway::default_of(anywhere(family).into());
    let mut routes = socket
        .list_routes(&RouteFilter::main(family).dst(everything))
        .map_err(SetupError::kernel("list the routes"))?;
    routes.retain(|route| in_main(route) && route.kind == RouteKind::Unicast);
    routes.sort_by_key(|route| route.priority);
    Ok(routes)
}

fn in_main(route: &KernelRoute) -> bool {
    route.is_default() && route.table == table::MAIN
}
