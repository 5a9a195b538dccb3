//! Telling the neighbours of a link where an address lives now.
//!
//! Switches and neighbours' caches learn it at once instead of when their entries expire. The
//! frames are made here and sent by a packet socket, because the kernel sends them by itself only
//! in some cases (`arp_notify`, `ndisc_notify`).

mod frame;

use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::MacAddress;
use crate::error::{Error, Result};

/// Who tells: it speaks on the links of the network namespace that it was opened in, wherever the
/// thread is by then.
#[derive(Debug)]
pub struct Announcer(OwnedFd);

impl Announcer {
    /// Opens it in the network namespace of the calling thread.
    ///
    /// # Errors
    /// `is_denied()` without CAP_NET_RAW.
    pub fn open() -> Result<Self> {
        // Protocol 0: this socket receives nothing.
        rustix::net::socket_with(
            AddressFamily::PACKET,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            None,
        )
        .map(Self)
        .map_err(|errno| Error::of("open packet socket", "for announcements", errno))
    }

    /// Announces an address on a link, which has this MAC address: an IPv4 one by a gratuitous ARP
    /// (RFC 5227, section 3: an ARP announcement), an IPv6 one by an unsolicited neighbour
    /// advertisement to all nodes (RFC 4861, section 7.2.6).
    ///
    /// A link that is up and has no carrier drops what it is to send, and says nothing of it.
    ///
    /// # Errors
    /// ENETDOWN if the link is down; `is_absent()` if there is none of that index.
    pub fn address(&self, link: u32, mac: MacAddress, ip: IpAddr) -> Result<()> {
        let frame = match ip {
            IpAddr::V4(ip) => frame::gratuitous_arp(mac, ip),
            IpAddr::V6(ip) => frame::unsolicited_na(mac, ip),
        };
        send_to_link(&self.0, link, &frame).map_err(|errno| failed(link, ip, errno))
    }
}

fn failed(link: u32, ip: IpAddr, errno: Errno) -> Error {
    Error::of(
        "announce address",
        format_args!("{ip} on the link with index {link}"),
        errno,
    )
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
