//! Sets and maps.

use super::batch::Batch;
use super::message::NFT_MSG_DELSET;
use super::{SUBSYSTEM, Table, header, userdata};
use crate::netlink::{Attributes, Buffer, NLM_F_CREATE, NLM_F_EXCL};

const NFT_MSG_NEWSET: u16 = SUBSYSTEM | 9;
pub(super) const NFTA_SET_TABLE: u16 = 1;
pub(super) const NFTA_SET_NAME: u16 = 2;
const NFTA_SET_FLAGS: u16 = 3;
const NFTA_SET_KEY_TYPE: u16 = 4;
const NFTA_SET_KEY_LEN: u16 = 5;
const NFTA_SET_DATA_TYPE: u16 = 6;
const NFTA_SET_DATA_LEN: u16 = 7;
const NFTA_SET_ID: u16 = 10;
const NFTA_SET_USERDATA: u16 = 13;
const NFTA_SET_HANDLE: u16 = 16;
const NFT_SET_INTERVAL: u32 = 4;
const NFT_SET_MAP: u32 = 8;
const NFT_DATA_VERDICT: u32 = 0xffff_ff00;
const UDATA_KEY_BYTE_ORDER: u8 = 0;
const UDATA_DATA_BYTE_ORDER: u8 = 1;

/// The type of a part of a key, or of a map's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// `ipv4_addr`.
    Ipv4Addr,
    /// `ipv6_addr`.
    Ipv6Addr,
    /// `ether_addr`.
    EtherAddr,
    /// `inet_proto`.
    InetProto,
    /// `inet_service`: a port.
    InetService,
    /// `mark`.
    Mark,
    /// `ifname`.
    Ifname,
}

impl KeyType {
    /// The number by which `nft` knows the type.
    fn number(self) -> u32 {
        match self {
            Self::Ipv4Addr => 7,
            Self::Ipv6Addr => 8,
            Self::EtherAddr => 9,
            Self::InetProto => 12,
            Self::InetService => 13,
            Self::Mark => 19,
            Self::Ifname => 41,
        }
    }

    fn length(self) -> u32 {
        match self {
            Self::Ipv4Addr | Self::Mark => 4,
            Self::Ipv6Addr | Self::Ifname => 16,
            Self::EtherAddr => 6,
            Self::InetProto => 1,
            Self::InetService => 2,
        }
    }

    /// 1 for the host's byte order, 2 for the network's.
    fn byte_order(self) -> u32 {
        match self {
            Self::Mark | Self::Ifname => 1,
            _ => 2,
        }
    }
}

/// Type number, length and byte order of one type or several joined.
fn joined(types: &[KeyType]) -> (u32, u32, u32) {
    if let [one] = types {
        return (one.number(), one.length(), one.byte_order());
    }
    let number = types
        .iter()
        .fold(0, |number, part| number << 6 | part.number());
    let length = types
        .iter()
        .map(|part| part.length().next_multiple_of(4))
        .sum();
    (number, length, 0)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Values<'a> {
    None,
    Verdicts,
    Data(&'a [KeyType]),
}

/// A set, verdict map or map to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set<'a> {
    name: &'a str,
    key: &'a [KeyType],
    values: Values<'a>,
    interval: bool,
    comment: Option<&'a str>,
}

impl<'a> Set<'a> {
    /// A set of keys, each of the types joined.
    #[must_use]
    pub const fn new(name: &'a str, key: &'a [KeyType]) -> Self {
        Self {
            name,
            key,
            values: Values::None,
            interval: false,
            comment: None,
        }
    }

    /// A map from keys to verdicts.
    #[must_use]
    pub const fn verdict_map(name: &'a str, key: &'a [KeyType]) -> Self {
        Self {
            name,
            key,
            values: Values::Verdicts,
            interval: false,
            comment: None,
        }
    }

    /// A map from keys to values.
    #[must_use]
    pub const fn map(name: &'a str, key: &'a [KeyType], value: &'a [KeyType]) -> Self {
        Self {
            name,
            key,
            values: Values::Data(value),
            interval: false,
            comment: None,
        }
    }

    /// Elements may be networks and ranges.
    #[must_use]
    pub const fn interval(mut self) -> Self {
        self.interval = true;
        self
    }

    /// Its comment, kept if it is made now.
    #[must_use]
    pub const fn comment(mut self, comment: &'a str) -> Self {
        self.comment = Some(comment);
        self
    }

    fn put(&self, b: &mut Buffer) {
        let (number, length, order) = joined(self.key);
        let mut data = Vec::with_capacity(32);
        userdata::push(&mut data, UDATA_KEY_BYTE_ORDER, &order.to_ne_bytes());
        let interval = if self.interval { NFT_SET_INTERVAL } else { 0 };
        let map = if self.values == Values::None {
            0
        } else {
            NFT_SET_MAP
        };
        b.put_be32(NFTA_SET_FLAGS, interval | map);
        b.put_be32(NFTA_SET_KEY_TYPE, number);
        b.put_be32(NFTA_SET_KEY_LEN, length);
        match self.values {
            Values::None => {}
            Values::Verdicts => {
                b.put_be32(NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT);
                b.put_be32(NFTA_SET_DATA_LEN, 0);
            }
            Values::Data(types) => {
                let (number, length, order) = joined(types);
                userdata::push(&mut data, UDATA_DATA_BYTE_ORDER, &order.to_ne_bytes());
                b.put_be32(NFTA_SET_DATA_TYPE, number);
                b.put_be32(NFTA_SET_DATA_LEN, length);
            }
        }
        if let Some(text) = self.comment {
            data.extend(userdata::comment(userdata::SET_COMMENT, text));
        }
        b.put(NFTA_SET_USERDATA, &data);
    }
}

/// A set or map as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetInfo {
    /// The name.
    pub name: String,
    /// The handle, never used twice in its table.
    pub handle: u64,
    /// It maps its keys to values or verdicts.
    pub is_map: bool,
    /// The comment.
    pub comment: Option<String>,
}

impl SetInfo {
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let mut info = Self {
            name: String::new(),
            handle: 0,
            is_map: false,
            comment: None,
        };
        for a in Attributes::after(payload, 4) {
            match a.kind {
                NFTA_SET_NAME => info.name = a.string(),
                NFTA_SET_HANDLE => info.handle = a.be64()?,
                NFTA_SET_FLAGS => info.is_map = a.be32()? & NFT_SET_MAP != 0,
                NFTA_SET_USERDATA => {
                    info.comment = userdata::find_comment(a.value, userdata::SET_COMMENT);
                }
                _ => {}
            }
        }
        Some(info)
    }
}

impl Batch<'_> {
    /// Makes a set or map unless it exists; EEXIST if one of another type does.
    pub fn ensure_set(&mut self, table: &Table<'_>, set: &Set<'_>) -> &mut Self {
        self.new_set(table, set, "ensure set", NLM_F_CREATE)
    }

    /// Makes a set or map; `is_exists()` if there is one.
    pub fn create_set(&mut self, table: &Table<'_>, set: &Set<'_>) -> &mut Self {
        self.new_set(table, set, "create set", NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Deletes a set or map; `is_absent()` if there is none, `is_busy()` if a rule uses it.
    pub fn delete_set(&mut self, table: &Table<'_>, name: &str) -> &mut Self {
        let head = header(table.family);
        self.message(
            "delete set",
            table.title_of(name),
            NFT_MSG_DELSET,
            0,
            head,
            |b| {
                b.put_str(NFTA_SET_TABLE, table.name);
                b.put_str(NFTA_SET_NAME, name);
            },
        )
    }

    fn new_set(
        &mut self,
        table: &Table<'_>,
        set: &Set<'_>,
        operation: &'static str,
        flags: u16,
    ) -> &mut Self {
        let (title, head) = (table.title_of(set.name), header(table.family));
        let id = self.next_set_id();
        self.message(operation, title, NFT_MSG_NEWSET, flags, head, |b| {
            b.put_str(NFTA_SET_TABLE, table.name);
            b.put_str(NFTA_SET_NAME, set.name);
            b.put_be32(NFTA_SET_ID, id);
            set.put(b);
        })
    }
}
