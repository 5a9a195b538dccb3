//! Tables.

use super::batch::Batch;
use super::message::NFT_MSG_DELTABLE;
use super::{SUBSYSTEM, header, userdata};
use crate::netlink::{Attributes, NLM_F_CREATE, NLM_F_EXCL};

const NFT_MSG_NEWTABLE: u16 = SUBSYSTEM;
pub(super) const NFTA_TABLE_NAME: u16 = 1;
const NFTA_TABLE_HANDLE: u16 = 4;
const NFTA_TABLE_USERDATA: u16 = 6;

/// Which packets a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet,
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Frames that pass a bridge.
    Bridge,
    /// ARP.
    Arp,
    /// Frames as they arrive at or leave a link.
    Netdev,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 6] = [
        Self::Inet,
        Self::Ip,
        Self::Ip6,
        Self::Bridge,
        Self::Arp,
        Self::Netdev,
    ];

    pub(super) fn to_wire(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Ip => 2,
            Self::Arp => 3,
            Self::Netdev => 5,
            Self::Bridge => 7,
            Self::Ip6 => 10,
        }
    }

    /// As `nft` spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Bridge => "bridge",
            Self::Arp => "arp",
            Self::Netdev => "netdev",
        }
    }
}

/// A table: its family and name, and its comment when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Table<'a> {
    pub(super) family: Family,
    pub(super) name: &'a str,
    comment: Option<&'a str>,
}

impl<'a> Table<'a> {
    /// A table.
    #[must_use]
    pub const fn new(family: Family, name: &'a str) -> Self {
        Self {
            family,
            name,
            comment: None,
        }
    }

    /// Its comment, kept if it is made now.
    #[must_use]
    pub const fn comment(mut self, comment: &'a str) -> Self {
        self.comment = Some(comment);
        self
    }

    /// Its family.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// `inet example`, for messages.
    pub(super) fn title(&self) -> String {
        format!("\"{} {}\"", self.family.name(), self.name)
    }

    /// `inet example thing`, for messages.
    pub(super) fn title_of(&self, object: &str) -> String {
        format!("\"{} {} {object}\"", self.family.name(), self.name)
    }
}

/// A table as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInfo {
    /// The name.
    pub name: String,
    /// The handle, never used twice.
    pub handle: u64,
    /// The comment.
    pub comment: Option<String>,
}

impl TableInfo {
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let mut info = Self {
            name: String::new(),
            handle: 0,
            comment: None,
        };
        for a in Attributes::after(payload, 4) {
            match a.kind {
                NFTA_TABLE_NAME => info.name = a.string(),
                NFTA_TABLE_HANDLE => info.handle = a.be64()?,
                NFTA_TABLE_USERDATA => {
                    info.comment = userdata::find_comment(a.value, userdata::COMMENT);
                }
                _ => {}
            }
        }
        Some(info)
    }
}

impl Batch<'_> {
    /// Makes a table unless it exists.
    pub fn ensure_table(&mut self, table: &Table<'_>) -> &mut Self {
        self.new_table(table, "ensure table", NLM_F_CREATE)
    }

    /// Makes a table; `is_exists()` if there is one.
    pub fn create_table(&mut self, table: &Table<'_>) -> &mut Self {
        self.new_table(table, "create table", NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Deletes a table and all that is in it; `is_absent()` if there is none.
    pub fn delete_table(&mut self, table: &Table<'_>) -> &mut Self {
        let head = header(table.family);
        self.message(
            "delete table",
            table.title(),
            NFT_MSG_DELTABLE,
            0,
            head,
            |b| {
                b.put_str(NFTA_TABLE_NAME, table.name);
            },
        )
    }

    fn new_table(&mut self, table: &Table<'_>, operation: &'static str, flags: u16) -> &mut Self {
        let head = header(table.family);
        self.message(
            operation,
            table.title(),
            NFT_MSG_NEWTABLE,
            flags,
            head,
            |b| {
                b.put_str(NFTA_TABLE_NAME, table.name);
                if let Some(text) = table.comment {
                    b.put(
                        NFTA_TABLE_USERDATA,
                        &userdata::comment(userdata::COMMENT, text),
                    );
                }
            },
        )
    }
}
