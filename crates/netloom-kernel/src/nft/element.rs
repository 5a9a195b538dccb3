//! Elements of sets and maps.

use std::net::IpAddr;

use ipnet::IpNet;

use super::batch::Batch;
use super::message::NFT_MSG_DELSETELEM;
use super::rule::link_name;
use super::verdict::{NFTA_DATA_VALUE, NFTA_DATA_VERDICT};
use super::{SUBSYSTEM, Table, Verdict, header, userdata};
use crate::MacAddress;
use crate::netlink::{Attributes, Buffer, NLM_F_CREATE, NLM_F_EXCL};

const NFT_MSG_NEWSETELEM: u16 = SUBSYSTEM | 12;
pub(super) const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
pub(super) const NFTA_SET_ELEM_LIST_SET: u16 = 2;
pub(super) const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_DATA: u16 = 2;
const NFTA_SET_ELEM_FLAGS: u16 = 3;
const NFTA_SET_ELEM_USERDATA: u16 = 6;
const NFT_SET_ELEM_INTERVAL_END: u32 = 1;

/// A key, or a value of a map: parts one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Key {
    bytes: Vec<u8>,
    /// The length of a key of one part, which is not padded.
    single: Option<usize>,
}

impl Key {
    /// No parts yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A key as it was read, to ask for or delete its element.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            single: Some(bytes.len()),
        }
    }

    fn part(mut self, value: &[u8]) -> Self {
        self.single = self.bytes.is_empty().then_some(value.len());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// An IP address.
    #[must_use]
    pub fn ip(self, ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => self.part(&ip.octets()),
            IpAddr::V6(ip) => self.part(&ip.octets()),
        }
    }

    /// A MAC address.
    #[must_use]
    pub fn ether(self, mac: MacAddress) -> Self {
        self.part(&mac)
    }

    /// A transport protocol.
    #[must_use]
    pub fn protocol(self, protocol: super::Protocol) -> Self {
        self.part(&[protocol.0])
    }

    /// A port.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        self.part(&port.to_be_bytes())
    }

    /// The name of a link.
    #[must_use]
    pub fn link(self, name: &str) -> Self {
        self.part(&link_name(name))
    }

    /// A packet mark.
    #[must_use]
    pub fn mark(self, mark: u32) -> Self {
        self.part(&mark.to_ne_bytes())
    }

    /// The bytes as the kernel has them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.single.unwrap_or(self.bytes.len())]
    }
}

/// What a map has for a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// A verdict.
    Verdict(Verdict),
    /// Data, in the same form as a key.
    Data(Key),
}

/// An element to add or delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    key: Key,
    /// The first key after an interval; `None` inside for one that ends with the last address.
    end: Option<Option<Key>>,
    value: Option<Value>,
    comment: Option<String>,
}

impl Element {
    /// An element.
    #[must_use]
    pub fn new(key: Key) -> Self {
        Self {
            key,
            end: None,
            value: None,
            comment: None,
        }
    }

    /// The addresses of a network, for a set made with `interval()`.
    #[must_use]
    pub fn network(net: IpNet) -> Self {
        let mut element = Self::new(Key::new().ip(net.network()));
        element.end = Some(after(net.broadcast()).map(|ip| Key::new().ip(ip)));
        element
    }

    /// The verdict that a verdict map has for it.
    #[must_use]
    pub fn verdict(mut self, verdict: Verdict) -> Self {
        self.value = Some(Value::Verdict(verdict));
        self
    }

    /// The value that a map has for it.
    #[must_use]
    pub fn value(mut self, value: Key) -> Self {
        self.value = Some(Value::Data(value));
        self
    }

    /// Its comment; cut to [`COMMENT_MAX`](super::COMMENT_MAX) bytes.
    #[must_use]
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    pub(super) fn put(&self, b: &mut Buffer) {
        b.nest(NFTA_LIST_ELEM, |b| {
            put_key(b, &self.key);
            match &self.value {
                Some(Value::Verdict(verdict)) => b.nest(NFTA_SET_ELEM_DATA, |b| verdict.put(b)),
                Some(Value::Data(data)) => {
                    b.nest(NFTA_SET_ELEM_DATA, |b| b.put(NFTA_DATA_VALUE, data.bytes()));
                }
                None => {}
            }
            if let Some(text) = &self.comment {
                b.put(
                    NFTA_SET_ELEM_USERDATA,
                    &userdata::comment(userdata::COMMENT, text),
                );
            }
        });
        if let Some(Some(end)) = &self.end {
            b.nest(NFTA_LIST_ELEM, |b| {
                put_key(b, end);
                b.put_be32(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
            });
        }
    }
}

fn put_key(b: &mut Buffer, key: &Key) {
    b.nest(NFTA_SET_ELEM_KEY, |b| b.put(NFTA_DATA_VALUE, key.bytes()));
}

/// The address after another, if there is one.
fn after(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().checked_add(1).map(|n| IpAddr::V4(n.into())),
        IpAddr::V6(ip) => ip.to_bits().checked_add(1).map(|n| IpAddr::V6(n.into())),
    }
}

/// An element as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementInfo {
    /// The key's bytes; compare with [`Key::bytes`].
    pub key: Vec<u8>,
    /// The verdict of a verdict map.
    pub verdict: Option<Verdict>,
    /// The bytes of a map's value.
    pub value: Option<Vec<u8>>,
    /// It is the first key after an interval, not an element.
    pub is_interval_end: bool,
    /// The comment.
    pub comment: Option<String>,
}

impl ElementInfo {
    /// Reads all elements of a message.
    pub(super) fn parse_all(payload: &[u8]) -> Vec<Self> {
        Attributes::after(payload, 4)
            .filter(|a| a.kind == NFTA_SET_ELEM_LIST_ELEMENTS)
            .flat_map(|list| list.nested())
            .filter_map(|element| Self::parse(element.value))
            .collect()
    }

    fn parse(element: &[u8]) -> Option<Self> {
        let mut info = Self {
            key: Vec::new(),
            verdict: None,
            value: None,
            is_interval_end: false,
            comment: None,
        };
        for a in Attributes::new(element) {
            match a.kind {
                NFTA_SET_ELEM_KEY => {
                    info.key = Attributes::find(a.value, NFTA_DATA_VALUE)?.value.to_vec();
                }
                NFTA_SET_ELEM_DATA => {
                    info.value =
                        Attributes::find(a.value, NFTA_DATA_VALUE).map(|v| v.value.to_vec());
                    info.verdict = Attributes::find(a.value, NFTA_DATA_VERDICT)
                        .and_then(|v| Verdict::parse(v.value));
                }
                NFTA_SET_ELEM_FLAGS => {
                    info.is_interval_end = a.be32()? & NFT_SET_ELEM_INTERVAL_END != 0;
                }
                NFTA_SET_ELEM_USERDATA => {
                    info.comment = userdata::find_comment(a.value, userdata::COMMENT);
                }
                _ => {}
            }
        }
        Some(info)
    }
}

impl Batch<'_> {
    /// Adds elements; those that are there already, with the same value, are no error.
    pub fn ensure_elements(
        &mut self,
        table: &Table<'_>,
        set: &str,
        elements: &[Element],
    ) -> &mut Self {
        let flags = NLM_F_CREATE;
        self.elements(
            table,
            set,
            elements,
            "ensure elements of",
            NFT_MSG_NEWSETELEM,
            flags,
        )
    }

    /// Adds elements; `is_exists()` if one is there already.
    pub fn create_elements(
        &mut self,
        table: &Table<'_>,
        set: &str,
        elements: &[Element],
    ) -> &mut Self {
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        self.elements(
            table,
            set,
            elements,
            "create elements of",
            NFT_MSG_NEWSETELEM,
            flags,
        )
    }

    /// Deletes elements; `is_absent()` if one is not there.
    pub fn delete_elements(
        &mut self,
        table: &Table<'_>,
        set: &str,
        elements: &[Element],
    ) -> &mut Self {
        self.elements(
            table,
            set,
            elements,
            "delete elements of",
            NFT_MSG_DELSETELEM,
            0,
        )
    }

    fn elements(
        &mut self,
        table: &Table<'_>,
        set: &str,
        elements: &[Element],
        operation: &'static str,
        kind: u16,
        flags: u16,
    ) -> &mut Self {
        // A list of elements is one attribute, of less than 64 KiB.
        for some in elements.chunks(128) {
            let (title, head) = (table.title_of(set), header(table.family));
            self.message(operation, title, kind, flags, head, |b| {
                b.put_str(NFTA_SET_ELEM_LIST_TABLE, table.name);
                b.put_str(NFTA_SET_ELEM_LIST_SET, set);
                b.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |b| {
                    some.iter().for_each(|e| e.put(b))
                });
            });
        }
        self
    }
}
