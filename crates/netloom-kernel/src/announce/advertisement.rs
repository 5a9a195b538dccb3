//! Unsolicited neighbour advertisements by a raw socket.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sockopt};

use super::frame;
use crate::MacAddress;
use crate::error::{Error, Result};

/// Opens it in the network namespace of the calling thread.
pub(super) fn open() -> Result<OwnedFd> {
    let open = || -> Result<OwnedFd, Errno> {
        let socket = rustix::net::socket_with(
            AddressFamily::INET6,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(ipproto::ICMPV6),
        )?;
        // Nobody believes an advertisement that a router may have passed on.
        sockopt::set_ipv6_multicast_hops(&socket, 255)?;
        sockopt::set_ipv6_multicast_loop(&socket, false)?;
        Ok(socket)
    };
    open().map_err(|errno| Error::of("open ICMPv6 socket", "for announcements", errno))
}

/// Tells all nodes of the link that an address of the link is at this MAC address.
pub(super) fn send(
    socket: &OwnedFd,
    link: u32,
    mac: MacAddress,
    ip: Ipv6Addr,
) -> Result<(), Errno> {
    let scope = if ip.is_unicast_link_local() { link } else { 0 };
    rustix::net::bind(socket, &SocketAddrV6::new(ip, 0, 0, scope))?;
    let to = SocketAddrV6::new(frame::ALL_NODES, 0, 0, link);
    // The kernel fills the checksum in.
    let message = frame::advertisement(mac, ip);
    rustix::net::sendto(socket, &message, SendFlags::empty(), &to).map(drop)
}
