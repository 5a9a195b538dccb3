//! What changes in nf_tables, message by message.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::net::netlink::NETFILTER;

use super::chain::{NFTA_CHAIN_NAME, NFTA_CHAIN_TABLE};
use super::element::{NFTA_SET_ELEM_LIST_SET, NFTA_SET_ELEM_LIST_TABLE};
use super::set::{NFTA_SET_NAME, NFTA_SET_TABLE};
use super::table::NFTA_TABLE_NAME;
use super::{ElementInfo, Family, RuleInfo, SUBSYSTEM};
use crate::error::{Error, Result};
use crate::netlink::{Attributes, Channel, Flow, Header};

/// The bit of `NFNLGRP_NFTABLES`.
const GROUP: u32 = 1 << 6;
const NFTA_GEN_PROC_NAME: u16 = 3;

/// An object of nf_tables that changed.
#[derive(Debug, Clone)]
pub enum Changed {
    /// A table.
    Table,
    /// A chain, by name.
    Chain(String),
    /// A rule, and its chain.
    Rule(String, RuleInfo),
    /// A set or map, by name.
    Set(String),
    /// Elements, and the set or map they are of.
    Elements(String, Vec<ElementInfo>),
}

/// One message.
#[derive(Debug, Clone)]
pub enum Message {
    /// Something came or went.
    Change {
        /// Whether it went.
        is_removed: bool,
        /// The family of its table.
        family: Family,
        /// The name of its table.
        table: String,
        /// What it is.
        object: Changed,
    },
    /// The changes before this were one transaction of this process.
    Committed {
        /// The name of the process, of 15 bytes at most.
        process: String,
    },
}

/// A socket that hears of every change of nf_tables in the namespace it was opened in. iptables is
/// seen by it where it is built on nf_tables.
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
    /// Subscribes in the namespace of the current thread; `buffer` as in
    /// [`rtnl::Monitor::open`](crate::rtnl::Monitor::open).
    ///
    /// # Errors
    /// If the kernel gives no socket: `is_unsupported()` if it lacks nfnetlink.
    pub fn open(buffer: usize) -> Result<Self> {
        let channel = Channel::subscribe(Some(NETFILTER), GROUP)
            .map_err(|errno| Error::of("open", "nf_tables monitor", errno))?;
        channel.keep(buffer);
        Ok(Self { channel })
    }

    /// Hands on what has arrived, without waiting. `false`: the kernel has dropped messages since
    /// the last call, as the buffer was full.
    ///
    /// # Errors
    /// If recv(2) fails.
    pub fn read(&self, mut each: impl FnMut(Message)) -> Result<bool> {
        let mut whole = true;
        loop {
            let mut hear = |header: Header, payload: &[u8]| {
                if let Some(message) = understand(header.kind, payload) {
                    each(message);
                }
                Flow::More
            };
            match self.channel.receive(RecvFlags::DONTWAIT, &mut hear) {
                Ok(_) => {}
                Err(Errno::NOBUFS) => whole = false,
                Err(Errno::AGAIN) => return Ok(whole),
                Err(errno) => return Err(Error::of("read", "nf_tables monitor", errno)),
            }
        }
    }
}

/// `None`: it is not told.
fn understand(kind: u16, payload: &[u8]) -> Option<Message> {
    const NEW_GENERATION: u16 = SUBSYSTEM | 15;
    let text = |kind| {
        let mut found = Attributes::after(payload, 4).filter(|a| a.kind == kind);
        found.next().map(|a| a.string())
    };
    if kind == NEW_GENERATION {
        let process = text(NFTA_GEN_PROC_NAME)?;
        return Some(Message::Committed { process });
    }
    let (table, object) = match kind.checked_sub(SUBSYSTEM)? {
        0 | 2 => (text(NFTA_TABLE_NAME)?, Changed::Table),
        3 | 5 => (
            text(NFTA_CHAIN_TABLE)?,
            Changed::Chain(text(NFTA_CHAIN_NAME)?),
        ),
        6 | 8 => {
            let (table, chain, rule) = RuleInfo::parse(payload)?;
            (table, Changed::Rule(chain, rule))
        }
        9 | 11 => (text(NFTA_SET_TABLE)?, Changed::Set(text(NFTA_SET_NAME)?)),
        12 | 14 => {
            let elements = ElementInfo::parse_all(payload);
            let set = text(NFTA_SET_ELEM_LIST_SET)?;
            (
                text(NFTA_SET_ELEM_LIST_TABLE)?,
                Changed::Elements(set, elements),
            )
        }
        _ => return None,
    };
    let family = Family::ALL
        .into_iter()
        .find(|family| payload.first() == Some(&family.to_wire()))?;
    Some(Message::Change {
        is_removed: matches!(kind - SUBSYSTEM, 2 | 5 | 8 | 11 | 14),
        family,
        table,
        object,
    })
}
