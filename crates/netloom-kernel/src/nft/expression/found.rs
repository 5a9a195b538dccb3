//! The steps of a rule that was read, as far as anybody asks.

use super::{Base, Compare, MetaKey, NFTA_EXPR_DATA, NFTA_EXPR_NAME};
use crate::netlink::Attributes;
use crate::nft::verdict::{NFTA_DATA_VALUE, NFTA_DATA_VERDICT, Verdict};

const CT_STATE: u32 = 0;
const CT_STATUS: u32 = 2;
/// Where `struct xt_conntrack_mtinfo3` has the states that it matches, and the one for packets of a
/// connection whose destination was translated.
const XT_STATES: std::ops::Range<usize> = 150..152;
const XT_STATE_DNAT: u16 = 1 << 7;

/// A step of a rule that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::nft) enum Found {
    /// Something of the packet, whether it is to be equal, and to what.
    Compared(Loaded, bool, Vec<u8>),
    /// A condition that is not understood here.
    Condition,
    /// The connection is to have a translated destination; in iptables' words.
    Translated,
    Verdict(Verdict),
    /// The text of the match `comment` of iptables, which is no condition.
    Comment(String),
    /// It is dropped, and its sender told.
    Reject,
    /// What becomes of the packet is decided somewhere else.
    Elsewhere,
}

/// What a register holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::nft) enum Loaded {
    /// A [`MetaKey`](super::MetaKey) by number.
    Meta(u32),
    /// Bytes of the network header from this offset.
    Network(u32),
    /// Those of these bits that the connection's state has.
    CtState(u32),
    /// The same for its status.
    CtStatus(u32),
    /// The same for the packet's mark.
    MarkBits(u32),
    /// Anything else.
    Other,
}

impl Loaded {
    fn masked(self, mask: u32) -> Self {
        match self {
            Self::CtState(bits) => Self::CtState(bits & mask),
            Self::CtStatus(bits) => Self::CtStatus(bits & mask),
            Self::Meta(key) if key == MetaKey::Mark as u32 => Self::MarkBits(mask),
            _ => Self::Other,
        }
    }
}

/// Reads the expressions of a rule.
pub(in crate::nft) fn found_in(expressions: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    let mut loaded = Loaded::Other;
    for expression in Attributes::new(expressions) {
        let name = Attributes::find(expression.value, NFTA_EXPR_NAME).map(|a| a.string());
        let data = Attributes::find(expression.value, NFTA_EXPR_DATA);
        let Some(name) = name else { continue };
        // An expression without parameters has none.
        let data = data.map_or(&[][..], |data| data.value);
        match read(&name, data, loaded) {
            Step::Load(what) => loaded = what,
            Step::Found(step) => found.push(step),
            Step::Passive => {}
        }
    }
    found
}

enum Step {
    Load(Loaded),
    Found(Found),
    /// It neither decides nor is a condition.
    Passive,
}

fn read(name: &str, data: &[u8], loaded: Loaded) -> Step {
    let get = |kind| Attributes::find(data, kind);
    let number = |kind| get(kind).and_then(|number| number.be32());
    let bytes = |kind| get(kind).and_then(|data| Attributes::find(data.value, NFTA_DATA_VALUE));
    match name {
        "meta" => Step::Load(number(2).map_or(Loaded::Other, Loaded::Meta)),
        "payload" => {
            let of_network = number(2) == Some(Base::Network as u32);
            let offset = number(3).filter(|_| of_network);
            Step::Load(offset.map_or(Loaded::Other, Loaded::Network))
        }
        "ct" => Step::Load(match number(2) {
            Some(CT_STATE) => Loaded::CtState(u32::MAX),
            Some(CT_STATUS) => Loaded::CtStatus(u32::MAX),
            _ => Loaded::Other,
        }),
        "bitwise" => {
            let mask = bytes(4).and_then(|mask| <[u8; 4]>::try_from(mask.value).ok());
            Step::Load(loaded.masked(mask.map_or(u32::MAX, u32::from_ne_bytes)))
        }
        "cmp" => {
            let equal = number(2) == Some(Compare::Equal as u32);
            Step::Found(match bytes(3) {
                Some(value) => Found::Compared(loaded, equal, value.value.to_vec()),
                None => Found::Condition,
            })
        }
        "immediate" => {
            let verdict = get(2).and_then(|data| Attributes::find(data.value, NFTA_DATA_VERDICT));
            match verdict.map(|verdict| Verdict::parse(verdict.value)) {
                Some(Some(verdict)) => Step::Found(Found::Verdict(verdict)),
                Some(None) => Step::Found(Found::Elsewhere),
                None => Step::Load(Loaded::Other),
            }
        }
        "reject" => Step::Found(Found::Reject),
        // With a verdict register it is a map of verdicts.
        "lookup" if number(3) == Some(super::REG_VERDICT) => Step::Found(Found::Elsewhere),
        "lookup" if get(3).is_some() => Step::Load(Loaded::Other),
        "match" => xt_match(data),
        "target" => match get(1).map(|name| name.string()).as_deref() {
            Some("REJECT") => Step::Found(Found::Reject),
            Some("LOG" | "NFLOG" | "MARK" | "CONNMARK" | "TRACE") => Step::Passive,
            _ => Step::Found(Found::Elsewhere),
        },
        "counter" | "log" | "notrack" | "last" | "objref" => Step::Passive,
        "byteorder" | "fib" | "rt" | "socket" | "osf" | "hash" | "numgen" | "exthdr" | "xfrm"
        | "tunnel" => Step::Load(Loaded::Other),
        "lookup" | "limit" | "quota" | "connlimit" | "range" | "dynset" => {
            Step::Found(Found::Condition)
        }
        _ => Step::Found(Found::Elsewhere),
    }
}

/// A match of iptables.
fn xt_match(data: &[u8]) -> Step {
    let name = Attributes::find(data, 1).map(|name| name.string());
    let states = || {
        let info = Attributes::find(data, 3)?;
        let states = info.value.get(XT_STATES)?.try_into().ok()?;
        Some(u16::from_ne_bytes(states))
    };
    let mark = || {
        let info = Attributes::find(data, 3)?.value;
        let (mark, rest) = info.split_at_checked(4)?;
        let (mask, rest) = rest.split_first_chunk()?;
        let mask = Loaded::MarkBits(u32::from_ne_bytes(*mask));
        Some(Found::Compared(
            mask,
            rest.first() == Some(&0),
            mark.to_vec(),
        ))
    };
    match name.as_deref() {
        Some("comment") => match Attributes::find(data, 3) {
            Some(text) => Step::Found(Found::Comment(text.string())),
            None => Step::Passive,
        },
        // As iptables before 1.8.8 says it.
        Some("mark") => Step::Found(mark().unwrap_or(Found::Condition)),
        Some("conntrack") if states().is_some_and(|states| states & XT_STATE_DNAT != 0) => {
            Step::Found(Found::Translated)
        }
        _ => Step::Found(Found::Condition),
    }
}
