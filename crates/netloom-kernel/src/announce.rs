//! Telling the neighbours of a link where an address lives now.
//!
//! Switches and neighbours' caches learn it at once instead of when their entries expire. The
//! frames are made here and sent by a packet socket, because the kernel sends them by itself only
//! in some cases (`arp_notify`, `ndisc_notify`).

mod carrier;
mod frame;

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::error::{Error, Result};
use crate::rtnl::{Group, Link, Socket, Subscription};
use crate::{MacAddress, stand_in};

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
        send_to_link(&self.0, link, &frame_of(mac, ip)).map_err(|errno| failed(link, ip, errno))
    }

    /// Leaves a child behind that announces the addresses as soon as the link has a carrier, and ends
    /// without if it has none within `patience`. `of` is a socket of the link's namespace, which
    /// lives as long as the child. In a process that may leave none behind, nothing is done.
    ///
    /// # Errors
    /// If the kernel gives no socket for its events.
    pub fn when_carrier(
        &self,
        of: &Socket,
        link: &Link,
        ips: &[IpAddr],
        patience: Duration,
    ) -> Result<()> {
        let Some(mac) = link.mac.filter(|_| stand_in::is_allowed()) else {
            return Ok(());
        };
        let frames: Vec<_> = ips.iter().map(|ip| frame_of(mac, *ip)).collect();
        let events = Subscription::open(of, &[Group::Links])?;
        let name = carrier::Name::new(&link.name);
        let kept = [self.0.as_raw_fd(), events.as_fd().as_raw_fd()];
        // It lives on by itself; whoever waits for it is init.
        drop(stand_in::start(&kept, || {
            if carrier::wait(&self.0, events.as_fd(), &name, patience) {
                for frame in &frames {
                    let _ = send_to_link(&self.0, link.index, frame);
                }
            }
        }));
        Ok(())
    }
}

fn frame_of(mac: MacAddress, ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => frame::gratuitous_arp(mac, ip),
        IpAddr::V6(ip) => frame::unsolicited_na(mac, ip),
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
