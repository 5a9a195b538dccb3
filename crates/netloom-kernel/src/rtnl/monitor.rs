//! What changes in a namespace, message by message, for who wants to tell it.
//!
//! A [`Subscription`](super::Subscription) only says that it is worth looking again. A monitor reads
//! what each message says. Its cost is that of the changes, whatever else the namespace holds.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::address::{RTM_DELADDR, RTM_NEWADDR};
use super::link::{RTM_DELLINK, RTM_NEWLINK};
use super::neighbour::{RTM_DELNEIGH, RTM_NEWNEIGH};
use super::route::{RTM_DELROUTE, RTM_NEWROUTE};
use super::rule::{RTM_DELRULE, RTM_NEWRULE};
use super::tc::TrafficControl;
use super::{Address, Link, Neighbour, Route, Rule};
use crate::error::{Error, Result};
use crate::netlink::{Channel, Flow, Header};

/// Links, neighbours, traffic control, addresses, routes and rules of both families.
const GROUPS: u32 =
    1 << 0 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 18;

/// `ifi_change` of a link that has just come into the namespace.
const ALL_FLAGS: u32 = u32::MAX;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Happened {
    /// It was added, or came from another namespace.
    Added,
    /// It was added or changed: the kernel does not say which.
    Set,
    /// It was removed, or left for another namespace.
    Removed,
}

/// An object that changed.
#[derive(Debug, Clone)]
pub enum Changed {
    /// A link.
    Link(Link),
    /// An address.
    Address(Address),
    /// A route.
    Route(Route),
    /// A policy rule.
    Rule(Rule),
    /// A neighbour, learned ones included.
    Neighbour(Neighbour),
    /// A queueing discipline, a class or a filter.
    TrafficControl(TrafficControl),
}

/// A socket that hears of every change in the namespace it was opened in.
#[derive(Debug)]
pub struct Monitor {
    channel: Channel,
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

impl Monitor {
    /// Subscribes in the namespace of the current thread. `buffer`: how many bytes of messages the
    /// kernel shall keep for a reader that is late; an unprivileged caller gets no more than
    /// `net.core.rmem_max`.
    ///
    /// # Errors
    /// If the kernel gives no socket.
    pub fn open(buffer: usize) -> Result<Self> {
        let channel = Channel::subscribe(None, GROUPS)
            .map_err(|errno| Error::of("open", "rtnetlink monitor", errno))?;
        channel.keep(buffer);
        Ok(Self { channel })
    }

    /// Hands on what has arrived, without waiting. `false`: the kernel has dropped messages since
    /// the last call, as the buffer was full.
    ///
    /// # Errors
    /// If recv(2) fails.
    pub fn read(&self, mut each: impl FnMut(Happened, Changed)) -> Result<bool> {
        let mut whole = true;
        loop {
            let mut hear = |header: Header, payload: &[u8]| {
                if let Some((happened, object)) = understand(header.kind, payload) {
                    each(happened, object);
                }
                Flow::More
            };
            match self.channel.receive(RecvFlags::DONTWAIT, &mut hear) {
                Ok(_) => {}
                Err(Errno::NOBUFS) => whole = false,
                Err(Errno::AGAIN) => return Ok(whole),
                Err(errno) => return Err(Error::of("read", "rtnetlink monitor", errno)),
            }
        }
    }
}

/// `None`: it is not told.
fn understand(kind: u16, payload: &[u8]) -> Option<(Happened, Changed)> {
    let object = match kind {
        // A bridge tells of its ports in messages of its own, family AF_BRIDGE.
        RTM_NEWLINK | RTM_DELLINK if payload.first() != Some(&0) => return None,
        RTM_NEWLINK | RTM_DELLINK => Changed::Link(Link::parse(payload)?),
        RTM_NEWADDR | RTM_DELADDR => Changed::Address(Address::parse(payload)?),
        RTM_NEWROUTE | RTM_DELROUTE => Changed::Route(Route::parse(payload)?),
        RTM_NEWRULE | RTM_DELRULE => Changed::Rule(Rule::parse(payload)?),
        RTM_NEWNEIGH | RTM_DELNEIGH => Changed::Neighbour(Neighbour::parse(payload)?),
        _ => Changed::TrafficControl(TrafficControl::parse(kind, payload)?),
    };
    let happened = match kind {
        RTM_NEWLINK if flags_changed(payload) == Some(ALL_FLAGS) => Happened::Added,
        _ if kind % 4 == 1 => Happened::Removed,
        _ => Happened::Set,
    };
    Some((happened, object))
}

fn flags_changed(payload: &[u8]) -> Option<u32> {
    let bytes = payload.get(12..16)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}
