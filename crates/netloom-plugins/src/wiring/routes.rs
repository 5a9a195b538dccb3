//! The routes by one link, taken from one table to be put into another.

use netloom_kernel::Result;
use netloom_kernel::rtnl::{Family, Route, RouteFilter, Socket, table};

/// The first so many of a family by one link count: a pod can make any number, which must not cost
/// the host its memory.
const MOST: usize = 4096;
/// How many more count in another table than the main one: what a plugin puts beside those that it moved
/// there, so that it finds them all again.
const BESIDE: usize = 64;

/// The routes by a link in a table, or in [any](table::ANY), in the order in
/// which they can be made: next hops are found by routes that have none.
///
/// A next hop that shares its route with others (IPv6) counts as a route of its own, which is how
/// the kernel takes it. An IPv4 multipath route is one object of several links, and left out.
pub(crate) fn by_link(
    socket: &Socket,
    family: Family,
    link: u32,
    number: u32,
) -> Result<Vec<Route>> {
    let filter = RouteFilter::main(family).table(number).device(link);
    let mut left = match number {
        table::MAIN => MOST,
        _ => MOST + BESIDE,
    };
    let counts = |_: &Route| {
        let counts = left > 0;
        left = left.saturating_sub(1);
        counts
    };
    let listed = match socket.list_routes_where(&filter, counts) {
        // A kernel without IPv6 has no IPv6 routes.
        Err(error) if error.is_unsupported() => Vec::new(),
        listed => listed?,
    };
    let mut routes: Vec<Route> = listed
        .into_iter()
        .flat_map(|route| single(route, link))
        .collect();
    routes.sort_by_key(|route| route.gateway.is_some());
    Ok(routes)
}

fn single(route: Route, link: u32) -> Vec<Route> {
    if route.next_hops.is_empty() {
        return vec![route];
    }
    if route.dst.addr().is_ipv4() {
        return Vec::new();
    }
    let hops = route.next_hops.iter().filter(|hop| hop.device == link);
    hops.map(|hop| Route {
        gateway: hop.gateway,
        device: Some(link),
        next_hops: Vec::new(),
        ..route.clone()
    })
    .collect()
}
