//! What the kernel says over netlink, byte by byte, but for what changes by itself: equal bytes
//! are listed equally by `ip`, `tc` and `nft`, which then need not be executed.
//!
//! Only what those listings leave out may be left out here.

use std::mem::take;

use rustix::fd::OwnedFd;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketType};

const REQUEST_DUMP: u16 = 0x1 | 0x300;
const DUMP_INTERRUPTED: u16 = 0x10;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Of a message, and of an attribute.
const MESSAGE_HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;

/// A message that a dump brought: what follows its header.
type Message = Vec<u8>;

/// A socket for dumps, in the namespace of the calling thread.
pub(super) struct Dumps {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Dumps {
    /// Of links, addresses, routes and disciplines.
    pub(super) fn of_routing() -> Self {
        // `NETLINK_ROUTE` is protocol 0.
        Self::open(None)
    }

    /// Of nf_tables.
    pub(super) fn of_netfilter() -> Self {
        Self::open(Some(netlink::NETFILTER))
    }

    fn open(protocol: Option<Protocol>) -> Self {
        let socket = rustix::net::socket(AddressFamily::NETLINK, SocketType::RAW, protocol)
            .and_then(|socket| {
                rustix::net::connect(&socket, &SocketAddrNetlink::new(0, 0))?;
                Ok(socket)
            })
            .unwrap_or_else(|error| panic!("cannot open a netlink socket: {error}"));
        Self {
            socket,
            buffer: vec![0; 64 << 10],
        }
    }

    /// All messages that a dump of this kind brings, as the kernel orders them. None where the
    /// kernel has no such thing.
    pub(super) fn all(&mut self, kind: u16, body: &[u8]) -> Vec<Message> {
        loop {
            match self.once(kind, body) {
                Some((messages, true)) => return messages,
                Some((_, false)) => {}
                None => return Vec::new(),
            }
        }
    }

    /// One dump, and whether nothing changed meanwhile.
    fn once(&mut self, kind: u16, body: &[u8]) -> Option<(Vec<Message>, bool)> {
        let length = u32::try_from(MESSAGE_HEADER + body.len()).ok()?;
        let mut request = length.to_ne_bytes().to_vec();
        request.extend(kind.to_ne_bytes());
        request.extend(REQUEST_DUMP.to_ne_bytes());
        request.extend([0; 8]);
        request.extend(body);
        rustix::net::send(&self.socket, &request, SendFlags::empty())
            .unwrap_or_else(|error| panic!("cannot ask the kernel: {error}"));
        let (mut messages, mut whole) = (Vec::new(), true);
        loop {
            let (length, _) =
                rustix::net::recv(&self.socket, &mut self.buffer[..], RecvFlags::empty())
                    .unwrap_or_else(|error| panic!("the kernel does not answer: {error}"));
            let mut rest = &self.buffer[..length];
            while let Some((header, payload, next)) = split(rest, MESSAGE_HEADER, 4) {
                let flags = u16::from_ne_bytes([header[6], header[7]]);
                whole &= flags & DUMP_INTERRUPTED == 0;
                match u16::from_ne_bytes([header[4], header[5]]) {
                    DONE => return Some((messages, whole)),
                    ERROR => return None,
                    _ => messages.push(payload.to_vec()),
                }
                rest = next;
            }
        }
    }
}

/// The head, the payload, and what follows of a thing that begins with its own length: four bytes
/// for a message, two for an attribute.
fn split(bytes: &[u8], head: usize, width: usize) -> Option<(&[u8], &[u8], &[u8])> {
    let length = match width {
        2 => usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?)),
        _ => usize::try_from(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?)).ok()?,
    };
    let whole = bytes.get(..length)?;
    let payload = whole.get(head..)?;
    let next = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((&whole[..head], payload, next))
}

/// What becomes of an attribute.
pub(super) enum Keep {
    /// It stays as it is.
    All,
    /// It changes by itself.
    Nothing,
    /// It stays with these bytes instead.
    Instead(Vec<u8>),
}

/// The attributes behind a header of this many bytes, each as `judge` wants it.
pub(super) fn attributes(message: &mut Message, header: usize, judge: impl Fn(u16, &[u8]) -> Keep) {
    let whole = take(message);
    let header = header.min(whole.len());
    message.extend(&whole[..header]);
    message.extend(kept(&whole[header..], judge));
}

/// The same of the attributes that another one holds.
pub(super) fn kept(mut rest: &[u8], judge: impl Fn(u16, &[u8]) -> Keep) -> Vec<u8> {
    let mut all = Vec::with_capacity(rest.len());
    while let Some((head, payload, next)) = split(rest, ATTRIBUTE_HEADER, 2) {
        let kind = u16::from_ne_bytes([head[2], head[3]]);
        let replaced;
        let payload = match judge(kind & 0x3fff, payload) {
            Keep::All => payload,
            Keep::Nothing => {
                rest = next;
                continue;
            }
            Keep::Instead(bytes) => {
                replaced = bytes;
                &replaced
            }
        };
        // The length makes two different lists different bytes.
        all.extend(payload.len().to_ne_bytes());
        all.extend(kind.to_ne_bytes());
        all.extend(payload);
        rest = next;
    }
    all
}

/// The payload of the first attribute of this kind behind a header.
pub(super) fn attribute(message: &[u8], header: usize, kind: u16) -> Option<&[u8]> {
    let mut rest = message.get(header..)?;
    while let Some((head, payload, next)) = split(rest, ATTRIBUTE_HEADER, 2) {
        if u16::from_ne_bytes([head[2], head[3]]) & 0x3fff == kind {
            return Some(payload);
        }
        rest = next;
    }
    None
}
