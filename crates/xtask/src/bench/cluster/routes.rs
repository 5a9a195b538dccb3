//! What the kernel tells of routes and neighbours (rtnetlink(7)), so that nobody has to ask it.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

use super::daemon::PATIENCE;

/// Neighbours with forwarding entries, and IPv4 routes (`RTMGRP_*`).
const GROUPS: u32 = 4 | 0x40;
const NEW_ROUTE: u16 = 24;
/// Where a message's payload begins, and where in a route's its protocol is.
const HEADER: usize = 16;
const PROTOCOL: usize = HEADER + 5;
/// By which routes of the daemon's are known.
pub(super) const OURS: u8 = 111;

pub(super) struct Listener(OwnedFd);

impl Listener {
    pub(super) fn open() -> Result<Self> {
        let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
        let flags = SocketFlags::CLOEXEC;
        // Netlink's protocol 0 is rtnetlink.
        let socket = socket_with(family, kind, flags, None)?;
        // Nothing may be lost of a burst of 15,000 messages.
        set_socket_recv_buffer_size_force(&socket, 64 << 20).context("SO_RCVBUFFORCE")?;
        bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        Ok(Self(socket))
    }

    /// Waits until so many routes of the daemon's protocol have come; returns when the last one did.
    pub(super) fn until(&self, count: usize) -> Result<Instant> {
        let deadline = Instant::now() + PATIENCE;
        let mut come = 0;
        while come < count {
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(
                self.hears(left)?,
                "{come} of {count} routes came within a minute"
            );
            come += self.receive(is_ours)?;
        }
        Ok(Instant::now())
    }

    /// How many changes were told since, of any kind.
    pub(super) fn changes(&self) -> Result<usize> {
        let mut changes = 0;
        while self.hears(Duration::ZERO)? {
            changes += self.receive(|_, _| true)?;
        }
        Ok(changes)
    }

    fn hears(&self, within: Duration) -> Result<bool> {
        let timeout = Timespec {
            tv_sec: i64::try_from(within.as_secs())?,
            tv_nsec: within.subsec_nanos().into(),
        };
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        Ok(poll(&mut fds, Some(&timeout))? > 0)
    }

    /// Counts those messages of a datagram that count.
    fn receive(&self, counts: impl Fn(u16, &[u8]) -> bool) -> Result<usize> {
        let mut buffer = [0; 32 * 1024];
        let (length, _) = recv(&self.0, &mut buffer[..], RecvFlags::empty())
            .context("the kernel told more than there is room for")?;
        count(&buffer[..length], counts)
    }
}

/// Whether it tells of a route of the daemon's.
fn is_ours(kind: u16, message: &[u8]) -> bool {
    kind == NEW_ROUTE && message.get(PROTOCOL) == Some(&OURS)
}

fn count(mut rest: &[u8], counts: impl Fn(u16, &[u8]) -> bool) -> Result<usize> {
    let mut count = 0;
    while let [a, b, c, d, e, f, ..] = *rest {
        let length = u32::from_ne_bytes([a, b, c, d]) as usize;
        let kind = u16::from_ne_bytes([e, f]);
        ensure!(
            (HEADER..=rest.len()).contains(&length),
            "a message of {length} bytes in {}",
            rest.len()
        );
        count += usize::from(counts(kind, &rest[..length]));
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_of_a_datagram_is_looked_at() {
        let message = |kind: u16, protocol: u8| {
            let mut bytes = vec![0; 28];
            bytes[..4].copy_from_slice(&26_u32.to_ne_bytes());
            bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
            bytes[PROTOCOL] = protocol;
            bytes
        };
        let all = [
            message(NEW_ROUTE, OURS),
            message(NEW_ROUTE, 2),
            message(25, OURS),
        ]
        .concat();
        assert_eq!(count(&all, is_ours).unwrap(), 1);
        assert_eq!(count(&all, |_, _| true).unwrap(), 3);
        assert!(count(&all[..40], is_ours).is_err());
    }
}
