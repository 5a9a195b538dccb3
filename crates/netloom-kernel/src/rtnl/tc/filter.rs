//! Filters: which packets, and what becomes of them.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Handle, Head, TCA_KIND, TCA_OPTIONS, header, put_kind, rate};
use crate::error::Result;
use crate::netlink::{Attributes, Buffer, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, Request};
use crate::rtnl::{Batch, Socket};

const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const RTM_GETTFILTER: u16 = 46;
const TCA_U32_CLASSID: u16 = 1;
const TCA_U32_SEL: u16 = 5;
const TCA_U32_ACT: u16 = 7;
const TCA_MATCHALL_CLASSID: u16 = 1;
const TCA_MATCHALL_ACT: u16 = 2;
const TCA_ACT_KIND: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_MIRRED_PARMS: u16 = 2;
const TC_U32_TERMINAL: u8 = 1;
const TC_ACT_PIPE: i32 = 3;
const TC_ACT_STOLEN: i32 = 4;
const TCA_EGRESS_REDIR: i32 = 1;
const TCA_EGRESS_MIRROR: i32 = 2;
/// The length of `struct tc_u32_sel` and of one `struct tc_u32_key`.
const SELECTOR_LEN: usize = 16;
const KEY_LEN: usize = 16;

/// A filter to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterSpec {
    /// The index of the link.
    pub link: u32,
    /// The discipline or class whose packets it looks at.
    pub parent: Handle,
    /// Lowest first. All filters of a priority are for one protocol.
    pub priority: u16,
    /// The protocol of the packets (`ETH_P_*`).
    pub protocol: u16,
    /// Which of them.
    pub classifier: Classifier,
    /// The class that they belong to.
    pub class: Option<Handle>,
    /// What is done with them.
    pub actions: Vec<Action>,
}

/// A filter as the kernel describes it.
pub type Filter = FilterSpec;

/// Which packets a filter is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Classifier {
    /// Those in which all of these fit; with none, every packet.
    U32(Vec<Match>),
    /// Every packet.
    Matchall,
    /// Any other, by the kernel's name.
    Other(String),
}

/// Four bytes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Match {
    /// Where they are, from the start of the network header.
    pub offset: i32,
    /// Those of their bits that count.
    pub mask: u32,
    /// What these bits must be.
    pub value: u32,
}

/// What is done with a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It leaves by the link with this index instead.
    Redirect(u32),
    /// A copy leaves by the link with this index.
    Mirror(u32),
    /// Any other, by the kernel's name.
    Other(String),
}

impl FilterSpec {
    /// IPv4.
    pub const IPV4: u16 = libc::ETH_P_IP as u16;
    /// IPv6.
    pub const IPV6: u16 = libc::ETH_P_IPV6 as u16;
    /// Every protocol.
    pub const ALL: u16 = libc::ETH_P_ALL as u16;

    /// The kernel's `tcm_info`.
    fn info(&self) -> u32 {
        u32::from(self.priority) << 16 | u32::from(self.protocol.to_be())
    }

    fn object(&self) -> String {
        format!(
            "with priority {} at {} of the link with index {}",
            self.priority, self.parent, self.link
        )
    }

    fn request(&self) -> Request {
        let head = header(self.link, Handle::default(), self.parent, self.info());
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        let mut r = Request::new("add filter", self.object(), RTM_NEWTFILTER, flags, &head);
        let class = self.class.map(|class| class.0);
        match &self.classifier {
            Classifier::U32(matches) => {
                put_kind(&mut r.buffer, "u32");
                r.buffer.nest(TCA_OPTIONS, |b| {
                    if let Some(class) = class {
                        b.put_u32(TCA_U32_CLASSID, class);
                    }
                    b.put(TCA_U32_SEL, &selector(matches));
                    put_actions(b, TCA_U32_ACT, &self.actions);
                });
            }
            Classifier::Matchall => {
                put_kind(&mut r.buffer, "matchall");
                r.buffer.nest(TCA_OPTIONS, |b| {
                    if let Some(class) = class {
                        b.put_u32(TCA_MATCHALL_CLASSID, class);
                    }
                    put_actions(b, TCA_MATCHALL_ACT, &self.actions);
                });
            }
            Classifier::Other(name) => put_kind(&mut r.buffer, name),
        }
        r
    }

    /// `None` for what is no filter but what the kernel keeps filters in.
    fn parse(payload: &[u8]) -> Option<Self> {
        let head = Head::parse(payload)?;
        let attributes = &payload[Head::LEN..];
        let kind = Attributes::find(attributes, TCA_KIND)?.string();
        let options = Attributes::find(attributes, TCA_OPTIONS)?.value;
        let (classifier, class, actions) = match kind.as_str() {
            "u32" => {
                let selector = Attributes::find(options, TCA_U32_SEL)?.value;
                let classifier = Classifier::U32(matches(selector)?);
                (classifier, TCA_U32_CLASSID, TCA_U32_ACT)
            }
            "matchall" => (Classifier::Matchall, TCA_MATCHALL_CLASSID, TCA_MATCHALL_ACT),
            other => (Classifier::Other(other.to_owned()), 0, 0),
        };
        let find = |kind: u16| Attributes::find(options, kind).filter(|_| kind != 0);
        Some(Self {
            link: head.link,
            parent: head.parent,
            priority: u16::try_from(head.info >> 16).ok()?,
            protocol: u16::from_be((head.info & 0xffff) as u16),
            classifier,
            class: find(class).and_then(|a| a.u32()).map(Handle),
            actions: find(actions).map_or(Vec::new(), |a| {
                a.nested().filter_map(|a| Action::parse(a.value)).collect()
            }),
        })
    }
}

impl Match {
    /// What a packet from a network has in it.
    #[must_use]
    pub fn source(net: IpNet) -> Vec<Self> {
        Self::address(net, if net.addr().is_ipv4() { 12 } else { 8 })
    }

    /// What a packet to a network has in it.
    #[must_use]
    pub fn destination(net: IpNet) -> Vec<Self> {
        Self::address(net, if net.addr().is_ipv4() { 16 } else { 24 })
    }

    fn address(net: IpNet, offset: i32) -> Vec<Self> {
        let octets = |address: IpAddr| match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let (network, mask) = (octets(net.network()), octets(net.netmask()));
        let word = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |word, byte| word << 8 | u32::from(*byte))
        };
        let words = network
            .chunks(4)
            .zip(mask.chunks(4))
            .zip((offset..).step_by(4));
        words
            .map(|((value, mask), offset)| Self {
                offset,
                mask: word(mask),
                value: word(value),
            })
            .filter(|key| key.mask != 0)
            .collect()
    }
}

/// `struct tc_u32_sel` with its keys.
fn selector(matches: &[Match]) -> Vec<u8> {
    const EVERY_PACKET: &[Match] = &[Match {
        offset: 0,
        mask: 0,
        value: 0,
    }];
    let matches = if matches.is_empty() {
        EVERY_PACKET
    } else {
        matches
    };
    let mut bytes = vec![0; SELECTOR_LEN];
    bytes[0] = TC_U32_TERMINAL;
    bytes[2] = u8::try_from(matches.len()).unwrap_or(u8::MAX);
    for key in matches {
        bytes.extend_from_slice(&key.mask.to_be_bytes());
        bytes.extend_from_slice(&key.value.to_be_bytes());
        bytes.extend_from_slice(&key.offset.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
    }
    bytes
}

/// The keys of a `struct tc_u32_sel` that exclude anything.
fn matches(selector: &[u8]) -> Option<Vec<Match>> {
    let count = usize::from(*selector.get(2)?);
    let keys = selector.get(SELECTOR_LEN..)?.chunks_exact(KEY_LEN);
    keys.take(count)
        .map(|key| {
            Some(Match {
                mask: u32::from_be(rate::word(key, 0)?),
                value: u32::from_be(rate::word(key, 4)?),
                offset: rate::word(key, 8)?.cast_signed(),
            })
        })
        .filter(|key| key.is_none_or(|key| key.mask != 0))
        .collect()
}

fn put_actions(buffer: &mut Buffer, kind: u16, actions: &[Action]) {
    if actions.is_empty() {
        return;
    }
    buffer.nest(kind, |b| {
        for (order, action) in (1..).zip(actions) {
            b.nest(order, |b| action.put(b));
        }
    });
}

impl Action {
    fn put(&self, b: &mut Buffer) {
        let (then, what, link) = match self {
            Self::Redirect(link) => (TC_ACT_STOLEN, TCA_EGRESS_REDIR, *link),
            Self::Mirror(link) => (TC_ACT_PIPE, TCA_EGRESS_MIRROR, *link),
            Self::Other(name) => return b.put_str(TCA_ACT_KIND, name),
        };
        let mut parameters = [0; 28];
        parameters[8..12].copy_from_slice(&then.to_ne_bytes());
        parameters[20..24].copy_from_slice(&what.to_ne_bytes());
        parameters[24..].copy_from_slice(&link.to_ne_bytes());
        b.put_str(TCA_ACT_KIND, "mirred");
        b.nest(TCA_ACT_OPTIONS, |b| b.put(TCA_MIRRED_PARMS, &parameters));
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let kind = Attributes::find(bytes, TCA_ACT_KIND)?.string();
        let parameters = Attributes::find(bytes, TCA_ACT_OPTIONS)
            .filter(|_| kind == "mirred")
            .and_then(|options| Attributes::find(options.value, TCA_MIRRED_PARMS));
        let Some(parameters) = parameters else {
            return Some(Self::Other(kind));
        };
        let link = rate::word(parameters.value, 24)?;
        Some(match rate::word(parameters.value, 20)?.cast_signed() {
            TCA_EGRESS_REDIR => Self::Redirect(link),
            TCA_EGRESS_MIRROR => Self::Mirror(link),
            _ => Self::Other(kind),
        })
    }
}

fn remove_all(link: u32, parent: Handle) -> Request {
    let object = format!("at {parent} of the link with index {link}");
    let head = header(link, Handle::default(), parent, 0);
    Request::new("remove filters", object, RTM_DELTFILTER, 0, &head).absent_is_success()
}

/// All filters of one priority, which are for one protocol.
fn remove_of_priority(spec: &FilterSpec) -> Request {
    let head = header(spec.link, Handle::default(), spec.parent, spec.info());
    Request::new("remove filter", spec.object(), RTM_DELTFILTER, 0, &head).absent_is_success()
}

impl Socket {
    /// Adds a filter.
    ///
    /// # Errors
    /// `is_absent()` if there is no such link or parent, or the kernel lacks the classifier.
    pub fn add_filter(&self, spec: &FilterSpec) -> Result<()> {
        self.execute(spec.request()).map(drop)
    }

    /// Removes the filters of the priority and the protocol of `spec`, whatever they are for.
    ///
    /// # Errors
    /// Anything but absence.
    pub fn remove_filter(&self, spec: &FilterSpec) -> Result<bool> {
        self.execute(remove_of_priority(spec))
    }

    /// Removes all filters of a discipline or class.
    ///
    /// # Errors
    /// Anything but absence.
    pub fn remove_filters(&self, link: u32, parent: Handle) -> Result<bool> {
        self.execute(remove_all(link, parent))
    }

    /// The filters of one discipline or class, in order; filtered by the kernel.
    ///
    /// # Errors
    /// If the kernel refuses the dump.
    pub fn list_filters(&self, link: u32, parent: Handle) -> Result<Vec<Filter>> {
        let object = format!("filters at {parent} of the link with index {link}");
        let head = header(link, Handle::default(), parent, 0);
        let r = Request::new("list", object, RTM_GETTFILTER, NLM_F_DUMP, &head);
        self.dump(r, |_, payload| FilterSpec::parse(payload))
    }
}

impl Batch<'_> {
    /// See [`Socket::add_filter`].
    pub fn add_filter(&mut self, spec: &FilterSpec) -> &mut Self {
        self.push(spec.request())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_as_many_words_as_it_needs() {
        let words = |keys: Vec<Match>| -> Vec<_> {
            keys.iter().map(|k| (k.offset, k.mask, k.value)).collect()
        };
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        assert_eq!(
            words(Match::destination(net("10.1.2.3/8"))),
            [(16, 0xff00_0000, 0x0a00_0000)]
        );
        assert_eq!(
            words(Match::source(net("fd00:db8:abcd:1234:e000::/68"))),
            [
                (8, u32::MAX, 0xfd00_0db8),
                (12, u32::MAX, 0xabcd_1234),
                (16, 0xf000_0000, 0xe000_0000)
            ]
        );
        assert!(Match::source(net("0.0.0.0/0")).is_empty());
    }
}
