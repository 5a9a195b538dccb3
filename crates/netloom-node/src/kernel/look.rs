//! What the kernel has now, as far as it concerns the pod network.

use std::net::IpAddr;

use anyhow::Result;
use ipnet::IpNet;
use netloom_cluster::flannel::NetworkConfig;
use netloom_cluster::peers::{Forwarding, Neighbour, Seen, SeenRoute, Tunnels};
use netloom_kernel::rtnl::{Family, NeighbourState, Route, RouteFilter, RouteKind, Socket};
use netloom_spec::Mac;

use super::PROTOCOL;

pub(super) fn look(socket: &Socket, tunnels: &Tunnels, config: &NetworkConfig) -> Result<Seen> {
    let mut seen = Seen::default();
    for device in tunnels.devices() {
        for family in [Family::V4, Family::V6] {
            let all = socket.list_neighbours(family, device)?;
            let lasting = all.iter().filter(|n| n.state == NeighbourState::PERMANENT);
            seen.neighbours.extend(lasting.filter_map(|n| {
                Some(Neighbour {
                    device,
                    ip: n.ip,
                    mac: Mac(n.mac?),
                })
            }));
        }
        for entry in socket.list_forwarding(device)? {
            seen.forwarding.insert(Forwarding {
                device,
                mac: Mac(entry.mac),
                remote: entry.remote,
            });
        }
    }
    let networks: Vec<IpNet> = config.pools().map(|pool| pool.network).collect();
    for family in [Family::V4, Family::V6] {
        routes(socket, family, tunnels, &networks, &mut seen)?;
    }
    Ok(seen)
}

fn routes(
    socket: &Socket,
    family: Family,
    tunnels: &Tunnels,
    networks: &[IpNet],
    seen: &mut Seen,
) -> Result<()> {
    let is_tunnel = |device: u32| tunnels.devices().any(|tunnel| tunnel == device);
    let of_tunnel = |route: &Route| route.device.is_some_and(is_tunnel);
    let is_ours = |route: &Route| route.protocol == PROTOCOL || of_tunnel(route);
    let touches = |route: &Route| {
        let net = &route.dst;
        networks
            .iter()
            .any(|network| network.contains(net) || net.contains(network))
    };
    // The kernel's own, such as those to a link-local network and to addresses, come with the link.
    let counts = |route: &Route| {
        let own = route.dst.prefix_len() == 0 || is_link_local(route.dst.addr());
        !own && route.kind != RouteKind::Local && (is_ours(route) || touches(route))
    };
    for route in socket.list_routes_where(&RouteFilter::main(family), counts)? {
        let found = SeenRoute {
            dst: route.dst,
            via: route.gateway,
            device: route.device,
            ours: route.protocol == PROTOCOL,
        };
        if found.ours || (of_tunnel(&route) && route.gateway.is_some()) {
            seen.routes.push(found);
        } else if !of_tunnel(&route) {
            seen.foreign.push(found);
        }
    }
    Ok(())
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_multicast(),
    }
}
