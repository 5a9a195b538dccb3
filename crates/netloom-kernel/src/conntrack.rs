//! Connection tracking: entries found by a filter in the kernel, and deleted by it or one by one.

mod text;

use std::net::{IpAddr, Ipv4Addr};

use rustix::net::netlink::NETFILTER;

use crate::error::{Error, Result};
use crate::netlink::{Attributes, Buffer, Channel, Framing, NLM_F_DUMP, NLM_F_REQUEST, Request};
use crate::rtnl::Family;

pub use text::list_few;

/// `NFNL_SUBSYS_CTNETLINK`, in the upper half of a message's type.
const SUBSYSTEM: u16 = 1 << 8;
const IPCTNL_MSG_CT_GET: u16 = SUBSYSTEM | 1;
const IPCTNL_MSG_CT_DELETE: u16 = SUBSYSTEM | 2;
const IPCTNL_MSG_CT_GET_STATS: u16 = SUBSYSTEM | 5;
const CTA_STATS_GLOBAL_ENTRIES: u16 = 1;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_FILTER: u16 = 25;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_FILTER_ORIG_FLAGS: u16 = 1;
const CTA_FILTER_REPLY_FLAGS: u16 = 2;
/// Which parts of the tuple a filter is about.
const BY_SOURCE: u32 = 1 << 0;
const BY_DESTINATION: u32 = 1 << 1;
const BY_PROTOCOL: u32 = 1 << 3;
const BY_SOURCE_PORT: u32 = 1 << 4;
const BY_DESTINATION_PORT: u32 = 1 << 5;

/// One direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Where its packets come from.
    pub source: IpAddr,
    /// Where they go.
    pub destination: IpAddr,
    /// The transport protocol's number.
    pub protocol: u8,
    /// The source port.
    pub source_port: u16,
    /// The destination port.
    pub destination_port: u16,
}

/// A connection as the kernel tracks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The direction of its first packet, before any translation.
    pub original: Tuple,
    /// The direction of the answers: after a translation their source is who really answers.
    pub reply: Tuple,
    /// Tells it from a later one with the same addresses.
    id: Option<u32>,
    zone: Option<u16>,
}

/// Which IPv4 connections are meant: all that have everything named here.
///
/// There is no such thing for IPv6: the kernel (6.18) takes for a match just the connections that
/// do not have the address that a filter names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flows {
    /// The transport protocol's number.
    pub protocol: u8,
    /// The port that their first packets go to.
    pub to_port: u16,
    /// The address that those go to, before any translation.
    pub to: Option<Ipv4Addr>,
    /// Who really answers.
    pub answered_by: Option<(Ipv4Addr, u16)>,
}

/// A connection tracking socket. It talks to the network namespace it was opened in, for all of
/// its life.
#[derive(Debug)]
pub struct Socket {
    channel: Channel,
}

impl Socket {
    #[cfg(fuzzing)]
    pub(crate) fn on(channel: Channel) -> Self {
        Self { channel }
    }

    /// Opens a socket in the network namespace of the current thread.
    ///
    /// # Errors
    /// If the kernel gives no socket: `is_unsupported()` if it lacks nfnetlink.
    pub fn open() -> Result<Self> {
        let channel = Channel::open(Some(NETFILTER))
            .map_err(|e| Error::of("open", "connection tracking socket", e))?;
        Ok(Self { channel })
    }

    /// How many connections are tracked. Listing takes milliseconds even where there are none: the
    /// kernel walks through all of its table.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn count(&self) -> Result<u32> {
        let object = "tracked connections".to_owned();
        let head = [0; 4];
        let mut r = Request::new("count", object, IPCTNL_MSG_CT_GET_STATS, 0, &head);
        let mut bytes = std::mem::take(&mut r.buffer).into_bytes();
        let count = |payload: &[u8]| {
            Attributes::after(payload, head.len()).find_map(|a| {
                (a.kind == CTA_STATS_GLOBAL_ENTRIES)
                    .then(|| a.be32())
                    .flatten()
            })
        };
        match self.channel.ask(&mut bytes, |_, payload| count(payload)) {
            Ok(Some(count)) => Ok(count),
            Ok(None) => Err(r.error(libc::EBADMSG, String::new())),
            Err(refusal) => Err(r.error(refusal.errno, refusal.words)),
        }
    }

    /// The connections of a transport protocol; with a port, only those whose first packet went to
    /// it. From Linux 5.8 on the kernel filters, before that the reader does.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn list(&self, family: Family, protocol: u8, to_port: Option<u16>) -> Result<Vec<Entry>> {
        let object = format!("tracked connections of protocol {protocol}");
        let head = header(family);
        let mut r = Request::new("list", object, IPCTNL_MSG_CT_GET, NLM_F_DUMP, &head);
        r.buffer.nest(CTA_TUPLE_ORIG, |b| {
            b.nest(CTA_TUPLE_PROTO, |b| {
                b.put_u8(CTA_PROTO_NUM, protocol);
                if let Some(port) = to_port {
                    b.put(CTA_PROTO_DST_PORT, &port.to_be_bytes());
                }
            });
        });
        r.buffer.nest(CTA_FILTER, |b| {
            let by_port = to_port.map_or(0, |_| BY_DESTINATION_PORT);
            b.put_u32(CTA_FILTER_ORIG_FLAGS, BY_PROTOCOL | by_port);
        });
        let mut bytes = std::mem::take(&mut r.buffer).into_bytes();
        let wanted = |entry: &Entry| {
            entry.original.protocol == protocol
                && to_port.is_none_or(|port| entry.original.destination_port == port)
        };
        let dump = self
            .channel
            .dump(&mut bytes, |_, payload| {
                Entry::parse(payload).filter(wanted)
            })
            .map_err(|refusal| r.error(refusal.errno, refusal.words))?;
        Ok(dump.found)
    }

    /// Forgets all connections that are meant, in one system call; unlike a list, that does not
    /// lock every line of an empty table.
    ///
    /// # Errors
    /// The first refusal; the others are gone all the same. EINVAL before Linux 6.12, which looks
    /// for one connection only: nothing has changed then.
    pub fn remove_all(&self, flows: &[Flows]) -> Result<()> {
        let mut buffer = Buffer::with_capacity(flows.len() * 128);
        for flows in flows {
            flows.put_removal(&mut buffer);
        }
        self.send_removals(buffer, flows.len())
    }

    /// Forgets these connections, in one system call; those that ended meanwhile are forgotten
    /// already.
    ///
    /// # Errors
    /// The first refusal; the others are gone all the same.
    pub fn remove(&self, entries: &[Entry]) -> Result<()> {
        let mut buffer = Buffer::with_capacity(entries.len() * 128);
        for entry in entries {
            entry.put_removal(&mut buffer);
        }
        self.send_removals(buffer, entries.len())
    }

    fn send_removals(&self, buffer: Buffer, count: usize) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        let whole = || format!("{count} of the tracked connections");
        let mut refused = None;
        self.channel
            .transact(
                &mut buffer.into_bytes(),
                Framing::Plain,
                |_, refusal| {
                    if refusal.errno != libc::ENOENT {
                        refused.get_or_insert(refusal);
                    }
                },
                |_, _, _| {},
            )
            .map_err(|errno| Error::of("remove", whole(), errno))?;
        match refused {
            None => Ok(()),
            Some(refusal) => {
                Err(Error::new("remove", whole(), refusal.errno).with_words(refusal.words))
            }
        }
    }
}

impl Flows {
    /// With a part of a tuple, always: a kernel that does not know the filter refuses that, and
    /// would empty the whole table without.
    fn put_removal(&self, b: &mut Buffer) {
        b.begin(IPCTNL_MSG_CT_DELETE, NLM_F_REQUEST, &header(Family::V4));
        let mut by_orig = BY_PROTOCOL | BY_DESTINATION_PORT;
        b.nest(CTA_TUPLE_ORIG, |b| {
            if let Some(to) = self.to {
                by_orig |= BY_DESTINATION;
                b.nest(CTA_TUPLE_IP, |b| b.put(CTA_IP_V4_DST, &to.octets()));
            }
            b.nest(CTA_TUPLE_PROTO, |b| {
                b.put_u8(CTA_PROTO_NUM, self.protocol);
                b.put(CTA_PROTO_DST_PORT, &self.to_port.to_be_bytes());
            });
        });
        if let Some((from, port)) = self.answered_by {
            b.nest(CTA_TUPLE_REPLY, |b| {
                b.nest(CTA_TUPLE_IP, |b| b.put(CTA_IP_V4_SRC, &from.octets()));
                b.nest(CTA_TUPLE_PROTO, |b| {
                    b.put_u8(CTA_PROTO_NUM, self.protocol);
                    b.put(CTA_PROTO_SRC_PORT, &port.to_be_bytes());
                });
            });
        }
        b.nest(CTA_FILTER, |b| {
            b.put_u32(CTA_FILTER_ORIG_FLAGS, by_orig);
            if self.answered_by.is_some() {
                let by_reply = BY_SOURCE | BY_PROTOCOL | BY_SOURCE_PORT;
                b.put_u32(CTA_FILTER_REPLY_FLAGS, by_reply);
            }
        });
    }
}

impl Entry {
    fn parse(payload: &[u8]) -> Option<Self> {
        let (mut original, mut reply, mut id, mut zone) = (None, None, None, None);
        for a in Attributes::after(payload, 4) {
            match a.kind {
                CTA_TUPLE_ORIG => original = Tuple::parse(a.value),
                CTA_TUPLE_REPLY => reply = Tuple::parse(a.value),
                CTA_ID => id = a.be32(),
                CTA_ZONE => zone = a.value.first_chunk().map(|b| u16::from_be_bytes(*b)),
                _ => {}
            }
        }
        Some(Self {
            original: original?,
            reply: reply?,
            id,
            zone,
        })
    }

    /// With its tuple, always: a removal without one empties the whole table.
    fn put_removal(&self, b: &mut Buffer) {
        let family = Family::of(self.original.source);
        b.begin(IPCTNL_MSG_CT_DELETE, NLM_F_REQUEST, &header(family));
        b.nest(CTA_TUPLE_ORIG, |b| self.original.put(b));
        if let Some(id) = self.id {
            b.put_be32(CTA_ID, id);
        }
        if let Some(zone) = self.zone {
            b.put(CTA_ZONE, &zone.to_be_bytes());
        }
    }
}

impl Tuple {
    fn parse(value: &[u8]) -> Option<Self> {
        let ip = Attributes::find(value, CTA_TUPLE_IP)?;
        let proto = Attributes::find(value, CTA_TUPLE_PROTO)?;
        let (mut source, mut destination) = (None, None);
        for a in ip.nested() {
            match a.kind {
                CTA_IP_V4_SRC | CTA_IP_V6_SRC => source = a.ip(),
                CTA_IP_V4_DST | CTA_IP_V6_DST => destination = a.ip(),
                _ => {}
            }
        }
        let port = |kind| {
            Attributes::find(proto.value, kind)?
                .value
                .first_chunk()
                .map(|b| u16::from_be_bytes(*b))
        };
        Some(Self {
            source: source?,
            destination: destination?,
            protocol: Attributes::find(proto.value, CTA_PROTO_NUM)?.u8()?,
            source_port: port(CTA_PROTO_SRC_PORT)?,
            destination_port: port(CTA_PROTO_DST_PORT)?,
        })
    }

    fn put(&self, b: &mut Buffer) {
        b.nest(CTA_TUPLE_IP, |b| match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                b.put(CTA_IP_V4_SRC, &source.octets());
                b.put(CTA_IP_V4_DST, &destination.octets());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                b.put(CTA_IP_V6_SRC, &source.octets());
                b.put(CTA_IP_V6_DST, &destination.octets());
            }
            // No packet has one address of each; the kernel refuses the empty nest.
            _ => {}
        });
        b.nest(CTA_TUPLE_PROTO, |b| {
            b.put_u8(CTA_PROTO_NUM, self.protocol);
            b.put(CTA_PROTO_SRC_PORT, &self.source_port.to_be_bytes());
            b.put(CTA_PROTO_DST_PORT, &self.destination_port.to_be_bytes());
        });
    }
}

/// The kernel's `struct nfgenmsg`.
fn header(family: Family) -> [u8; 4] {
    [family.to_wire(), 0, 0, 0]
}
