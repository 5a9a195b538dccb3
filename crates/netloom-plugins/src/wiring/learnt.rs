//! What the host has by router advertisements.

use netloom_kernel::rtnl::{Family, RouteFilter, Socket, protocol, table};

/// The links by which the host has a route or an address from a router. A router that is no way out
/// (lifetime 0) tells a prefix alone: then there is an address and no route of this protocol.
pub(crate) fn links(host: &Socket) -> netloom_kernel::Result<Vec<u32>> {
    let by_routers = RouteFilter::main(Family::V6)
        .table(table::ANY)
        .protocol(protocol::ROUTERS);
    let mut links = Vec::new();
    for route in host.list_routes(&by_routers)? {
        let hops = route.next_hops.iter().map(|hop| hop.device);
        links.extend(route.device.into_iter().chain(hops));
    }
    let addresses = host.list_all_addresses()?.into_iter();
    links.extend(
        addresses
            .filter(|it| it.flags.is_autoconfigured())
            .map(|it| it.link),
    );
    links.sort_unstable();
    links.dedup();
    Ok(links)
}
