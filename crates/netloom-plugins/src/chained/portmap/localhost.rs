//! The way from the host's own loopback to a pod.

use crate::wiring::Fault;
use ipnet::IpNet;
use netloom_kernel::rtnl::Socket;
use netloom_kernel::{Result, sysctl};
use std::net::{IpAddr, Ipv6Addr};

/// The setting that lets packets from and to 127.0.0.0/8 pass by the link to a pod. Shared and
/// never undone, as in the reference. `None` when the host has no route to the pod: the interface
/// plugin wanted none then.
fn route_localnet(pod: IpNet) -> Result<Option<String>> {
    let socket = Socket::open()?;
    let Ok(route) = socket.lookup_route(pod.addr()) else {
        return Ok(None);
    };
    let Some(index) = route.device else {
        return Ok(None);
    };
    let link = socket.find_link(index)?;
    Ok(link.map(|link| format!("net/ipv4/conf/{}/route_localnet", link.name)))
}

/// Opens the way. Whoever does that drops what pretends to come from there.
pub(super) fn ensure(pod: IpNet) -> std::result::Result<(), Fault> {
    let ensure = || match route_localnet(pod)? {
        Some(key) => sysctl::set_if_different(&key, "1").map(drop),
        None => Ok(()),
    };
    ensure().map_err(Fault::kernel("unable to enable route_localnet"))
}

/// CHECK: what closes the way, in words.
pub(super) fn closed(pod: IpNet) -> std::result::Result<Option<String>, Fault> {
    let closed = || {
        let Some(key) = route_localnet(pod)? else {
            return Ok(None);
        };
        let value = sysctl::get(&key)?;
        Ok((value != "1").then(|| format!("{key} is {value:?}, not \"1\"")))
    };
    closed().map_err(Fault::kernel("failed to read route_localnet"))
}

/// The address by which the host talks to a pod, for packets from `::1`: a pod could not answer
/// to that. `None` where the host has none in the pod's network.
pub(super) fn source(pod: Option<IpNet>) -> Option<Ipv6Addr> {
    let pod = pod.filter(|pod| pod.addr().is_ipv6())?;
    let route = Socket::open().ok()?.lookup_route(pod.addr()).ok()?;
    match route.source? {
        IpAddr::V6(source) if !source.is_unicast_link_local() => Some(source),
        _ => None,
    }
}
