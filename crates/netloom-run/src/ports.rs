//! Published ports are bound while the pod lives: that somebody else has one is found before any ADD, and
//! nobody takes it meanwhile. Nothing listens: who is not led to the pod is refused, not kept waiting.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use crate::error::{Error, Result};
use crate::{Port, Protocol};

/// Binds all of them.
pub(crate) fn hold(ports: &[Port]) -> Result<Vec<OwnedFd>> {
    let mut held = Vec::new();
    let is_inside = crate::private_host::is_inside();
    for port in ports {
        let every = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        // The addresses of the real host are not those of a user's own.
        let one = port.host_ip.filter(|_| !is_inside).map(|ip| [ip]);
        let addresses: &[IpAddr] = one.as_ref().map_or(&every, |one| one);
        for ip in addresses {
            match bind(SocketAddr::new(*ip, port.host), port.protocol) {
                Ok(socket) => held.push(socket),
                // A host without IPv6, or without SCTP, has nothing to keep there.
                Err(Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT | Errno::SOCKTNOSUPPORT) => {}
                Err(Errno::ADDRNOTAVAIL) if port.host_ip.is_none() => {}
                Err(errno) => return Err(refused(port, *ip, errno)),
            }
        }
    }
    Ok(held)
}

fn bind(address: SocketAddr, protocol: Protocol) -> Result<OwnedFd, Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let (kind, protocol) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
        Protocol::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol))?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

fn refused(port: &Port, ip: IpAddr, errno: Errno) -> Error {
    let why = match errno {
        Errno::ADDRINUSE => "another program or pod has it".to_owned(),
        Errno::ADDRNOTAVAIL => "the host does not have this address".to_owned(),
        errno => errno.to_string(),
    };
    Error::new(format!(
        "-p: port {} of the host ({} {ip}) cannot be published: {why}",
        port.host,
        port.protocol.as_str(),
    ))
}
