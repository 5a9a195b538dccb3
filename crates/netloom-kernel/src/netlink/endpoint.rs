//! The socket itself: only the kernel is heard on it.
//!
//! Whoever has CAP_NET_ADMIN in a network namespace, root in a pod say, may send to any netlink
//! socket there: errors, acknowledgements and listings that look like the kernel's. No such sender
//! has port 0; so that is what is asked of each datagram. What comes from elsewhere is passed over.

use std::hash::{BuildHasher as _, RandomState};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketAddrAny, SocketFlags, SocketType};

const NETLINK_CAP_ACK: i32 = 10;
const NETLINK_EXT_ACK: i32 = 11;

/// The kernel's port.
const KERNEL: u32 = 0;

/// Where the next socket begins to count, beyond a random number. The echo of a link's removal
/// that goes to another namespace may reach this process's socket there, and must not look like
/// an answer to it.
static NEXT_SEQUENCE: AtomicU32 = AtomicU32::new(0);
const SEQUENCES: u32 = 1 << 20;

/// A socket for requests of a netlink protocol, in the current thread's network namespace.
///
/// It is connected: the kernel refuses what others send to it, so that nobody can fill its buffer
/// and have the answers dropped. Between the moment at which connect(2) binds it and the one at
/// which it is connected others can still send; [`receive`] passes that over.
pub(super) fn connected(protocol: Option<Protocol>) -> Result<OwnedFd, Errno> {
    let socket = open(protocol)?;
    set_option(&socket, libc::SOL_NETLINK, NETLINK_EXT_ACK, 1)?;
    set_option(&socket, libc::SOL_NETLINK, NETLINK_CAP_ACK, 1)?;
    rustix::net::connect(&socket, &SocketAddrNetlink::new(KERNEL, 0))?;
    Ok(socket)
}

/// A socket that hears of the events of some groups (bits), in the current thread's network
/// namespace.
pub(super) fn subscribed(protocol: Option<Protocol>, groups: u32) -> Result<OwnedFd, Errno> {
    let socket = open(protocol)?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

fn open(protocol: Option<Protocol>) -> Result<OwnedFd, Errno> {
    rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        protocol,
    )
}

/// Receives one datagram behind what is in the buffer, as far as there is room. `None`: it was not
/// the kernel's.
pub(super) fn receive(
    socket: &OwnedFd,
    buffer: &mut Vec<u8>,
    flags: RecvFlags,
) -> Result<Option<usize>, Errno> {
    let flags = flags | RecvFlags::TRUNC;
    let (_, length, sender) =
        rustix::io::retry_on_intr(|| rustix::net::recvfrom(socket, spare_capacity(buffer), flags))?;
    if !is_kernel(sender) {
        return Ok(None);
    }
    if length > buffer.len() {
        return Err(Errno::MSGSIZE);
    }
    Ok(Some(length))
}

fn is_kernel(sender: Option<SocketAddrAny>) -> bool {
    // The fuzzer's kernel is at the other end of a pair of sockets without names.
    let Some(sender) = sender else {
        return cfg!(fuzzing);
    };
    SocketAddrNetlink::try_from(sender).is_ok_and(|sender| sender.pid() == KERNEL)
}

/// A number to begin to count at, that nobody can guess and no other socket of this process
/// reaches.
pub(super) fn first_sequence() -> u32 {
    static START: OnceLock<u32> = OnceLock::new();
    let start = START.get_or_init(|| RandomState::new().hash_one(0) as u32);
    start.wrapping_add(NEXT_SEQUENCE.fetch_add(SEQUENCES, Ordering::Relaxed))
}

/// Sets an integer socket option for which rustix has no call.
pub(super) fn set_option(socket: &OwnedFd, level: i32, name: i32, value: i32) -> Result<(), Errno> {
    // SAFETY: the pointer and length describe one live i32, which the kernel only reads.
    #[expect(unsafe_code, reason = "rustix has no netlink socket options")]
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(&value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if result == 0 {
        return Ok(());
    }
    let errno = std::io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO);
    Err(Errno::from_raw_os_error(errno))
}
