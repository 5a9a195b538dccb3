//! The way from the host's own loopback to a pod.

use crate::wiring::SetupError;
use ipnet::IpNet;
use netloom_kernel::rtnl::{Route, Socket};
use netloom_kernel::{Error, Result, sysctl};
use rustix::io::Errno;
use std::net::{IpAddr, Ipv6Addr};

/// How the host reaches a pod. `None` without a route: the interface plugin made none then.
fn route_to(socket: &Socket, pod: IpNet) -> Result<Option<Route>> {
    match socket.lookup_route(pod.addr()) {
        Ok(route) => Ok(Some(route)),
        Err(error) if is_unreachable(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_unreachable(error: &Error) -> bool {
    let none = [Errno::NETUNREACH, Errno::HOSTUNREACH];
    none.iter()
        .any(|errno| errno.raw_os_error() == error.errno())
}

/// The setting that lets packets from and to 127.0.0.0/8 pass by the link to a pod. Shared and
/// never undone, as in the reference.
fn route_localnet(pod: IpNet) -> Result<Option<String>> {
    let socket = Socket::open()?;
    let Some(index) = route_to(&socket, pod)?.and_then(|route| route.device) else {
        return Ok(None);
    };
    let link = socket.find_link(index)?;
    Ok(link.map(|link| format!("net/ipv4/conf/{}/route_localnet", link.name)))
}

/// Opens the way. The packet filter's rules then drop what comes from outside with such an address.
pub(super) fn ensure(pod: IpNet) -> std::result::Result<(), SetupError> {
    let ensure = || match route_localnet(pod)? {
        Some(key) => sysctl::set_if_different(&key, "1").map(drop),
        None => Ok(()),
    };
    ensure().map_err(SetupError::kernel("unable to enable route_localnet"))
}

/// CHECK: what closes the way, in words.
pub(super) fn closed(pod: IpNet) -> std::result::Result<Option<String>, SetupError> {
    let closed = || {
        let Some(key) = route_localnet(pod)? else {
            return Ok(None);
        };
        let value = sysctl::get(&key)?;
        Ok((value != "1").then(|| format!("{key} is {value:?}, not \"1\"")))
    };
    closed().map_err(SetupError::kernel("failed to read route_localnet"))
}

/// The address by which the host talks to a pod, for packets from `::1`: a pod could not answer
/// to that. `None` where the host has none in the pod's network.
pub(super) fn source(pod: Option<IpNet>) -> std::result::Result<Option<Ipv6Addr>, SetupError> {
    let Some(pod) = pod.filter(|pod| pod.addr().is_ipv6()) else {
        return Ok(None);
    };
    let route = Socket::open().and_then(|socket| route_to(&socket, pod));
    let route = route.map_err(SetupError::kernel("failed to find the way to the pod"))?;
    Ok(match route.and_then(|route| route.source) {
        Some(IpAddr::V6(source)) if !source.is_unicast_link_local() => Some(source),
        _ => None,
    })
}
