//! Telling the neighbours of a link where an address lives now.
//!
//! Switches and neighbours' caches learn it at once instead of when their entries expire. The
//! frames are made here and sent by a packet socket, because the kernel sends them by itself only
//! in some cases (`arp_notify`, `ndisc_notify`).

mod frame;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::MacAddress;
use crate::error::{Error, Result};

/// Sends a gratuitous ARP (RFC 5227, section 3: an ARP announcement) on a link of the current
/// thread's network namespace.
///
/// # Errors
/// ENETDOWN if the link is down; `is_absent()` if there is none of that index; `is_denied()`
/// without CAP_NET_RAW.
pub fn gratuitous_arp(link: u32, mac: MacAddress, ip: Ipv4Addr) -> Result<()> {
    send(link, &frame::gratuitous_arp(mac, ip)).map_err(|e| failed(link, ip.into(), e))
}

/// Sends an unsolicited neighbour advertisement (RFC 4861, section 7.2.6) to all nodes on a link
/// of the current thread's network namespace.
///
/// # Errors
/// As [`gratuitous_arp`].
pub fn unsolicited_na(link: u32, mac: MacAddress, ip: Ipv6Addr) -> Result<()> {
    send(link, &frame::unsolicited_na(mac, ip)).map_err(|e| failed(link, ip.into(), e))
}

/// Announces an address of either family.
///
/// # Errors
/// As [`gratuitous_arp`].
pub fn address(link: u32, mac: MacAddress, ip: IpAddr) -> Result<()> {
    match ip {
        IpAddr::V4(ip) => gratuitous_arp(link, mac, ip),
        IpAddr::V6(ip) => unsolicited_na(link, mac, ip),
    }
}

fn failed(link: u32, ip: IpAddr, errno: Errno) -> Error {
    Error::of(
        "announce address",
        format_args!("{ip} on the link with index {link}"),
        errno,
    )
}

fn send(link: u32, frame: &[u8]) -> Result<(), Errno> {
    // Protocol 0: this socket receives nothing.
    let socket = rustix::net::socket_with(
        AddressFamily::PACKET,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    send_to_link(&socket, link, frame)
}

fn send_to_link(socket: &OwnedFd, link: u32, frame: &[u8]) -> Result<(), Errno> {
    let to = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: 0,
        sll_ifindex: link.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: both pointers come with the lengths of the live objects they point to, which the
    // kernel only reads.
    #[expect(unsafe_code, reason = "rustix has no address type for packet sockets")]
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            0,
            std::ptr::from_ref(&to).cast(),
            size_of_val(&to) as libc::socklen_t,
        )
    };
    if sent >= 0 {
        return Ok(());
    }
    let errno = std::io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO);
    Err(Errno::from_raw_os_error(errno))
}
