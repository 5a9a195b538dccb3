//! Packet sockets: one network protocol on one link, seen before routing and netfilter.
//!
//! For protocols that must talk before the link has an address (DHCP). The kernel makes and takes
//! off the link-layer header; a classic BPF program drops in the kernel what is not wanted.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::MacAddress;
use crate::error::{Error, Result};

/// The link-layer address of everybody on an Ethernet link.
pub const BROADCAST: MacAddress = [0xff; 6];

/// IPv4, as the link-layer header names it.
pub const IPV4: u16 = 0x0800;

/// One instruction of a classic BPF program (`struct sock_filter`). Offsets count from the start of
/// the network header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// The operation: `BPF_LD | BPF_H | BPF_ABS` …
    pub code: u16,
    /// Instructions to skip if the comparison holds.
    pub if_true: u8,
    /// Instructions to skip if it does not.
    pub if_false: u8,
    /// The operand.
    pub operand: u32,
}

/// The filter that passes unfragmented UDP over IPv4 to one port.
#[must_use]
pub fn udp4_to_port(port: u16) -> [Instruction; 9] {
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_HALF_INDEXED: u16 = 0x48;
    const HEADER_LENGTH_TO_INDEX: u16 = 0xb1;
    const JUMP_EQUAL: u16 = 0x15;
    const JUMP_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    let step = |code, operand, if_true, if_false| Instruction {
        code,
        if_true,
        if_false,
        operand,
    };
    [
        step(LOAD_BYTE, 9, 0, 0),
        step(JUMP_EQUAL, libc::IPPROTO_UDP.cast_unsigned(), 0, 6),
        step(LOAD_HALF, 6, 0, 0),
        // More fragments follow, or this is not the first.
        step(JUMP_SET, 0x3fff, 4, 0),
        step(HEADER_LENGTH_TO_INDEX, 0, 0, 0),
        step(LOAD_HALF_INDEXED, 2, 0, 0),
        step(JUMP_EQUAL, port.into(), 0, 1),
        step(RETURN, u32::MAX, 0, 0),
        step(RETURN, 0, 0, 0),
    ]
}

/// A packet socket bound to one link and one network protocol, not blocking.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    link: u32,
    protocol: u16,
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Socket {
    /// Opens a socket on a link of the current thread's network namespace. Nothing that arrived
    /// before, or that the filter does not pass, is ever received.
    ///
    /// # Errors
    /// `is_absent()` if there is no link of that index; ENETDOWN if it is down; `is_denied()`
    /// without CAP_NET_RAW.
    pub fn open(link: u32, protocol: u16, filter: &[Instruction]) -> Result<Self> {
        let open = || -> Result<Self, Errno> {
            // Protocol 0 receives nothing, so that nothing passes before the filter is there.
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let fd =
                rustix::net::socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None)?;
            attach(&fd, filter)?;
            bind(&fd, &address(link, protocol, None))?;
            Ok(Self { fd, link, protocol })
        };
        open().map_err(|errno| failed("open packet socket on", link, errno))
    }

    /// Sends one network packet to a link-layer address.
    ///
    /// # Errors
    /// ENETDOWN if the link is down, ENXIO if it is gone, EMSGSIZE past the link's MTU.
    pub fn send(&self, packet: &[u8], to: MacAddress) -> Result<()> {
        let to = address(self.link, self.protocol, Some(to));
        // SAFETY: both pointers come with the lengths of live objects, which the kernel only reads.
        #[expect(unsafe_code, reason = "rustix has no address type for packet sockets")]
        let sent = unsafe {
            libc::sendto(
                self.fd.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                0,
                std::ptr::from_ref(&to).cast(),
                size_of_val(&to) as libc::socklen_t,
            )
        };
        if sent >= 0 {
            Ok(())
        } else {
            Err(failed("send packet on", self.link, last_errno()))
        }
    }

    /// Takes the next packet into `buffer`: its length, cut to the buffer's, and the link-layer
    /// address it came from. `None` if there is none.
    ///
    /// # Errors
    /// ENETDOWN once after the link was set down or removed.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Option<(usize, MacAddress)>> {
        let mut from = address(0, 0, None);
        let mut length = size_of_val(&from) as libc::socklen_t;
        // SAFETY: the buffer and the address are live and writable for the lengths given.
        #[expect(unsafe_code, reason = "rustix has no address type for packet sockets")]
        let received = unsafe {
            libc::recvfrom(
                self.fd.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                0,
                std::ptr::from_mut(&mut from).cast(),
                &mut length,
            )
        };
        if let Ok(received) = usize::try_from(received) {
            let mut mac = MacAddress::default();
            mac.copy_from_slice(&from.sll_addr[..6]);
            return Ok(Some((received, mac)));
        }
        match last_errno() {
            Errno::AGAIN | Errno::INTR => Ok(None),
            errno => Err(failed("receive packet on", self.link, errno)),
        }
    }
}

fn failed(operation: &'static str, link: u32, errno: Errno) -> Error {
    Error::of(operation, format_args!("the link with index {link}"), errno)
}

fn address(link: u32, protocol: u16, to: Option<MacAddress>) -> libc::sockaddr_ll {
    let mut address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol.to_be(),
        sll_ifindex: link.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    if let Some(mac) = to {
        address.sll_halen = 6;
        address.sll_addr[..6].copy_from_slice(&mac);
    }
    address
}

fn bind(fd: &OwnedFd, address: &libc::sockaddr_ll) -> Result<(), Errno> {
    // SAFETY: the pointer and length describe one live address, which the kernel only reads.
    #[expect(unsafe_code, reason = "rustix has no address type for packet sockets")]
    let result = unsafe {
        libc::bind(
            fd.as_raw_fd(),
            std::ptr::from_ref(address).cast(),
            size_of_val(address) as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

fn attach(fd: &OwnedFd, filter: &[Instruction]) -> Result<(), Errno> {
    let mut steps: Vec<libc::sock_filter> = filter
        .iter()
        .map(|step| libc::sock_filter {
            code: step.code,
            jt: step.if_true,
            jf: step.if_false,
            k: step.operand,
        })
        .collect();
    let program = libc::sock_fprog {
        len: u16::try_from(steps.len()).map_err(|_| Errno::INVAL)?,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: the program points to `len` live instructions; the kernel checks and copies them.
    #[expect(unsafe_code, reason = "rustix cannot attach socket filters")]
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            std::ptr::from_ref(&program).cast(),
            size_of_val(&program) as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(last_errno())
    }
}

fn last_errno() -> Errno {
    let errno = std::io::Error::last_os_error().raw_os_error();
    Errno::from_raw_os_error(errno.unwrap_or(libc::EIO))
}
