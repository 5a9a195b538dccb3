//! What happens in a namespace, as it happens.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::Socket;
use crate::error::{Error, Result};
use crate::netlink::{Channel, Flow};
use crate::netns::Netns;

/// How much is read before it is looked again: others can send as fast as this is read.
const AT_ONCE: usize = 256;

/// What to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// Links that come, change, or go.
    Links,
    /// IPv4 addresses.
    AddressesV4,
    /// IPv6 addresses, duplicate address detection included.
    AddressesV6,
    /// Neighbours.
    Neighbours,
    /// IPv4 routes.
    RoutesV4,
    /// IPv6 routes.
    RoutesV6,
}

impl Group {
    /// The bit in `struct sockaddr_nl`.
    fn bit(self) -> u32 {
        match self {
            Self::Links => 1 << 0,
            Self::Neighbours => 1 << 2,
            Self::AddressesV4 => 1 << 4,
            Self::RoutesV4 => 1 << 6,
            Self::AddressesV6 => 1 << 8,
            Self::RoutesV6 => 1 << 10,
        }
    }
}

/// A subscription to events of the namespace of a [`Socket`].
///
/// Events only say that it is worth looking again; what they carry is not parsed, so that losing
/// some (the kernel drops them when the reader is slow) loses nothing.
#[derive(Debug)]
pub struct Subscription {
    channel: Channel,
}

impl AsFd for Subscription {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

impl Subscription {
    /// Subscribes in the namespace that a socket belongs to, wherever the current thread is.
    ///
    /// # Errors
    /// If the kernel gives no socket or no handle of the namespace.
    pub fn open(of: &Socket, groups: &[Group]) -> Result<Self> {
        let bits = groups.iter().fold(0, |bits, group| bits | group.bit());
        let subscribe = || -> Result<Self, Errno> {
            let channel = Channel::subscribe(None, bits)?;
            Ok(Self { channel })
        };
        let failed = |errno| Error::of("subscribe to", format_args!("{groups:?}"), errno);
        netns_of(of)?.run(subscribe)?.map_err(failed)
    }

    /// Waits for the next event. `false` if the deadline passed first.
    ///
    /// # Errors
    /// If poll(2) or recv(2) fails.
    pub fn wait(&self, deadline: Instant) -> Result<bool> {
        let failed = |errno| Error::of("wait for", "network events", errno);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut fds = [PollFd::new(&self.channel, PollFlags::IN)];
            match rustix::event::poll(&mut fds, Some(&timeout)) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(failed(errno)),
            }
            if self.drain().map_err(failed)? {
                return Ok(true);
            }
            // What others send may go on for ever.
            if left.is_zero() {
                return Ok(false);
            }
        }
    }

    /// Takes events that have arrived, without waiting: for a caller with a poll(2) of its own.
    ///
    /// # Errors
    /// If recv(2) fails.
    pub fn clear(&self) -> Result<()> {
        match self.drain() {
            Ok(_) => Ok(()),
            Err(errno) => Err(Error::of("read", "network events", errno)),
        }
    }

    /// Takes what has arrived, at most [`AT_ONCE`] datagrams. Whether it is worth looking again.
    fn drain(&self) -> Result<bool, Errno> {
        let mut heard = false;
        for _ in 0..AT_ONCE {
            let mut each = |_, _: &[u8]| {
                heard = true;
                Flow::More
            };
            match self.channel.receive(RecvFlags::DONTWAIT, &mut each) {
                Ok(_) => {}
                // Events were dropped: as good a reason to look again as one that arrived.
                Err(Errno::NOBUFS) => heard = true,
                Err(Errno::AGAIN) => return Ok(heard),
                Err(errno) => return Err(errno),
            }
        }
        // Of a queue that is full for long, the kernel says only once that it drops events.
        Ok(true)
    }
}

/// The namespace that a socket belongs to.
fn netns_of(socket: &Socket) -> Result<Netns> {
    // SAFETY: SIOCGSKNS takes no argument and returns a new descriptor or -1.
    #[expect(unsafe_code, reason = "rustix has no SIOCGSKNS")]
    let fd = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCGSKNS as _) };
    if fd < 0 {
        let error = std::io::Error::last_os_error();
        return Err(Error::of_io(
            "open network namespace of",
            "rtnetlink socket",
            &error,
        ));
    }
    // SAFETY: the kernel has just made this descriptor for us; nothing else owns it.
    #[expect(unsafe_code, reason = "the ioctl returns a bare descriptor")]
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok(Netns::from_fd(
        fd,
        "namespace of an rtnetlink socket".as_ref(),
    ))
}
