//! The messages (RFC 2131, section 2).

use super::option;
use netloom_kernel::MacAddress;
use std::net::Ipv4Addr;

const COOKIE: [u8; 4] = [99, 130, 83, 99];
const FIXED_LEN: usize = 236;
/// What the oldest servers want a message to have at least (RFC 1542, section 2.1).
const LEN_MIN: usize = 300;
const OP_REQUEST: u8 = 1;
const OP_REPLY: u8 = 2;
const ETHERNET: u8 = 1;
const FLAG_BROADCAST: u16 = 0x8000;

/// What a message wants (option 53).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Kind {
    Discover = 1,
    Offer = 2,
    Request = 3,
    Ack = 5,
    Nak = 6,
    Release = 7,
}

impl Kind {
    fn from_wire(code: u8) -> Option<Self> {
        let all = [
            Self::Discover,
            Self::Offer,
            Self::Request,
            Self::Ack,
            Self::Nak,
            Self::Release,
        ];
        all.into_iter().find(|kind| *kind as u8 == code)
    }
}

/// Options in the order they were set. A code occurs once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Options(Vec<(u8, Vec<u8>)>);

impl Options {
    pub(in super::super) fn get(&self, code: u8) -> Option<&[u8]> {
        let found = self.0.iter().find(|(other, _)| *other == code);
        found.map(|(_, value)| value.as_slice())
    }

    /// Sets an option; one of that code is replaced.
    pub(in super::super) fn set(&mut self, code: u8, value: impl Into<Vec<u8>>) {
        let value = value.into();
        match self.0.iter_mut().find(|(other, _)| *other == code) {
            Some((_, old)) => *old = value,
            None => self.0.push((code, value)),
        }
    }

    /// An option that is one IPv4 address.
    pub(in super::super) fn address(&self, code: u8) -> Option<Ipv4Addr> {
        <[u8; 4]>::try_from(self.get(code)?)
            .ok()
            .map(Ipv4Addr::from)
    }

    /// An option that is a list of IPv4 addresses.
    pub(in super::super) fn addresses(&self, code: u8) -> Vec<Ipv4Addr> {
        let (quads, _) = self.get(code).unwrap_or_default().as_chunks::<4>();
        quads.iter().copied().map(Ipv4Addr::from).collect()
    }

    /// An option that is a number of seconds.
    pub(in super::super) fn seconds(&self, code: u8) -> Option<u32> {
        <[u8; 4]>::try_from(self.get(code)?)
            .ok()
            .map(u32::from_be_bytes)
    }

    /// An option that is text; some servers end it with a NUL.
    pub(in super::super) fn text(&self, code: u8) -> Option<String> {
        let text = String::from_utf8_lossy(self.get(code)?);
        Some(text.trim_end_matches('\0').to_owned())
    }

    /// Adds the options of an area. What is in several parts is put together (RFC 3396).
    fn parse(&mut self, area: &[u8]) {
        let mut rest = area;
        while let [code, after @ ..] = rest {
            match *code {
                option::END => return,
                option::PAD => rest = after,
                code => {
                    let Some((length, after)) = after.split_first() else {
                        return;
                    };
                    let Some((value, after)) = after.split_at_checked((*length).into()) else {
                        return;
                    };
                    match self.0.iter_mut().find(|(other, _)| *other == code) {
                        Some((_, whole)) => whole.extend_from_slice(value),
                        None => self.0.push((code, value.to_vec())),
                    }
                    rest = after;
                }
            }
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        for (code, value) in &self.0 {
            if value.is_empty() {
                out.extend_from_slice(&[*code, 0]);
            }
            for part in value.chunks(255) {
                out.push(*code);
                out.push(part.len() as u8);
                out.extend_from_slice(part);
            }
        }
        out.push(option::END);
    }
}

/// A message, without the fields for booting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Message {
    pub(in super::super) kind: Kind,
    pub(in super::super) xid: u32,
    /// The client wants answers to be broadcast.
    pub(in super::super) broadcast: bool,
    /// The address the client has.
    pub(in super::super) ciaddr: Ipv4Addr,
    /// The address the client gets.
    pub(in super::super) yiaddr: Ipv4Addr,
    pub(in super::super) chaddr: MacAddress,
    /// Where it came from, if that is known.
    pub(in super::super) source: Option<Ipv4Addr>,
    /// All but the message type.
    pub(in super::super) options: Options,
}

impl Message {
    pub(in super::super) fn new(kind: Kind, xid: u32, chaddr: MacAddress) -> Self {
        Self {
            kind,
            xid,
            broadcast: false,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            chaddr,
            source: None,
            options: Options::default(),
        }
    }

    /// The server that wrote this message, or is meant by it.
    pub(in super::super) fn server(&self) -> Option<Ipv4Addr> {
        self.options.address(option::SERVER)
    }

    /// Where the server is reached: one that does not name itself, though RFC 2131 wants it, is
    /// where its messages come from.
    pub(in super::super) fn server_address(&self) -> Option<Ipv4Addr> {
        self.server().or(self.source)
    }

    /// Reads what a server wrote. `None` if it is not such a message.
    pub(in super::super) fn parse(bytes: &[u8]) -> Option<Self> {
        Self::parse_with(bytes, OP_REPLY)
    }

    /// Reads what a client wrote.
    #[cfg(test)]
    pub(in super::super) fn parse_request(bytes: &[u8]) -> Option<Self> {
        Self::parse_with(bytes, OP_REQUEST)
    }

    fn parse_with(bytes: &[u8], op: u8) -> Option<Self> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED_LEN>()?;
        let (cookie, area) = rest.split_first_chunk::<4>()?;
        if fixed[..3] != [op, ETHERNET, 6] || *cookie != COOKIE {
            return None;
        }
        let mut options = Options::default();
        options.parse(area);
        if let Some([overload]) = options.get(option::OVERLOAD) {
            let overload = *overload;
            if overload & 1 != 0 {
                options.parse(&fixed[108..236]);
            }
            if overload & 2 != 0 {
                options.parse(&fixed[44..108]);
            }
        }
        let &[kind] = options.get(option::MESSAGE_TYPE)? else {
            return None;
        };
        options.0.retain(|(code, _)| *code != option::MESSAGE_TYPE);
        let quad = |at: usize| [fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]];
        let mut chaddr = MacAddress::default();
        chaddr.copy_from_slice(&fixed[28..34]);
        Some(Self {
            kind: Kind::from_wire(kind)?,
            xid: u32::from_be_bytes(quad(4)),
            broadcast: u16::from_be_bytes([fixed[10], fixed[11]]) & FLAG_BROADCAST != 0,
            ciaddr: quad(12).into(),
            yiaddr: quad(16).into(),
            chaddr,
            source: None,
            options,
        })
    }

    /// The bytes of a message to a server.
    pub(in super::super) fn to_bytes(&self) -> Vec<u8> {
        self.to_bytes_with(OP_REQUEST)
    }

    /// The bytes of a message to a client.
    #[cfg(any(test, fuzzing))]
    pub(in super::super) fn to_reply_bytes(&self) -> Vec<u8> {
        self.to_bytes_with(OP_REPLY)
    }

    fn to_bytes_with(&self, op: u8) -> Vec<u8> {
        let mut out = vec![0; FIXED_LEN];
        out[..3].copy_from_slice(&[op, ETHERNET, 6]);
        out[4..8].copy_from_slice(&self.xid.to_be_bytes());
        let flags = if self.broadcast { FLAG_BROADCAST } else { 0 };
        out[10..12].copy_from_slice(&flags.to_be_bytes());
        out[12..16].copy_from_slice(&self.ciaddr.octets());
        out[16..20].copy_from_slice(&self.yiaddr.octets());
        out[28..34].copy_from_slice(&self.chaddr);
        out.extend_from_slice(&COOKIE);
        out.extend_from_slice(&[option::MESSAGE_TYPE, 1, self.kind as u8]);
        self.options.put(&mut out);
        out.resize(out.len().max(LEN_MIN), option::PAD);
        out
    }
}
