//! Frames made here, sent by a packet socket.
//!
//! Whoever closes such a socket waits until no reader in the kernel can hold it any more, 10 ms and
//! more. So it is for what the kernel cannot be made to say, and for children, whom nobody waits for.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::frame;
use crate::MacAddress;
use crate::error::{Error, Result};

/// Opens it in the network namespace of the calling thread.
pub(super) fn open() -> Result<OwnedFd> {
    // Protocol 0: this socket receives nothing.
    rustix::net::socket_with(
        AddressFamily::PACKET,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|errno| Error::of("open packet socket", "for announcements", errno))
}

pub(super) fn frame_of(mac: MacAddress, ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => frame::gratuitous_arp(mac, ip),
        IpAddr::V6(ip) => frame::unsolicited_na(mac, ip),
    }
}

pub(super) fn send(socket: &OwnedFd, link: u32, frame: &[u8]) -> Result<(), Errno> {
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
