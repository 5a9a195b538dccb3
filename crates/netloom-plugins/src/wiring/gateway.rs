//! Gateways and default routes, computed from what the IPAM plugin answered.

use ipnet::IpNet;
use netloom_spec::{AddResult, IpConfig, Route};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address whose network has no address to spare for a gateway.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "no gateway can follow from address {0}: its network has one or two addresses, which are \
     pods'; name the gateway in ipam"
)]
pub(crate) struct NoGateway(IpNet);

/// The first address after the network's own.
pub(crate) fn first_of(net: IpNet) -> Result<IpAddr, NoGateway> {
    if net.max_prefix_len() - net.prefix_len() <= 1 {
        return Err(NoGateway(net));
    }
    Ok(match net.network() {
        IpAddr::V4(ip) => Ipv4Addr::from(u32::from(ip) + 1).into(),
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) + 1).into(),
    })
}

/// Fills in the gateways that the IPAM plugin left out.
pub(crate) fn fill(ips: &mut [IpConfig]) -> Result<(), NoGateway> {
    for ip in ips.iter_mut().filter(|ip| ip.gateway.is_none()) {
        ip.gateway = Some(first_of(ip.address)?);
    }
    Ok(())
}

/// The address that the host's side carries for each of the container's
/// addresses: its gateway, with the container's prefix.
pub(crate) fn host_addresses(ips: &[IpConfig]) -> Vec<IpNet> {
    let mut addresses = Vec::with_capacity(ips.len());
    for ip in ips {
        let Some(gateway) = ip.gateway else { continue };
        if let Ok(address) = IpNet::new(gateway, ip.address.prefix_len())
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    addresses
}

/// Adds a default route through the gateway for every family that has none.
///
/// A default route of the IPAM plugin without `gw` means the same as the one that
/// would be added, so it is completed, not doubled: the kernel refuses the second.
pub(crate) fn ensure_default_routes(result: &mut AddResult) {
    for index in 0..result.ips.len() {
        let ip = &result.ips[index];
        let (gateway, default) = (ip.gateway, default_of(ip.address));
        let mut found = false;
        for route in result
            .routes
            .iter_mut()
            .filter(|route| route.dst == default)
        {
            if route.gw.is_some() {
                found = true;
            } else if in_main_table(route) && route.scope.is_none() {
                route.gw = gateway;
                found = true;
            }
        }
        if !found {
            result.routes.push(Route {
                gw: gateway,
                ..Route::new(default)
            });
        }
    }
}

/// True for a route that belongs to the table in which the kernel looks by default.
pub(crate) fn in_main_table(route: &Route) -> bool {
    matches!(route.table, None | Some(0 | 254))
}

/// The first gateway of each family: the next hop of routes that name none.
pub(crate) fn next_hop(ips: &[IpConfig], family_of: IpAddr) -> Option<IpAddr> {
    ips.iter()
        .filter_map(|ip| ip.gateway)
        .find(|gateway| gateway.is_ipv4() == family_of.is_ipv4())
}

/// The next hop of a route; without one of its own the first gateway of its family. A gateway of
/// 0.0.0.0 says that the destination is on the link, which results before 1.0.0 cannot say by scope.
pub(crate) fn hop_of(route: &Route, ips: &[IpConfig]) -> Option<IpAddr> {
    match route.gw {
        Some(gateway) => Some(gateway).filter(|gateway| !gateway.is_unspecified()),
        None => next_hop(ips, route.dst.addr()),
    }
}

/// The default route's destination in the family of an address.
pub(crate) fn default_of(address: IpNet) -> IpNet {
    match address {
        IpNet::V4(_) => IpNet::V4(ipnet::Ipv4Net::default()),
        IpNet::V6(_) => IpNet::V6(ipnet::Ipv6Net::default()),
    }
}
