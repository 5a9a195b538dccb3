//! Chains.

use super::batch::Batch;
use super::message::{NFT_MSG_DELCHAIN, NFT_MSG_DELRULE};
use super::rule::{NFTA_RULE_CHAIN, NFTA_RULE_TABLE};
use super::{SUBSYSTEM, Table, header, userdata};
use crate::netlink::{Attributes, Buffer, NLM_F_CREATE, NLM_F_EXCL};

const NFT_MSG_NEWCHAIN: u16 = SUBSYSTEM | 3;
pub(super) const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_HANDLE: u16 = 2;
pub(super) const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_USE: u16 = 6;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_CHAIN_USERDATA: u16 = 12;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_HOOK_DEV: u16 = 3;

/// The longest name of a chain in bytes.
pub const CHAIN_NAME_MAX: usize = 255;

/// Priorities of base chains; the lowest comes first.
pub mod priority {
    /// Before connection tracking.
    pub const RAW: i32 = -300;
    /// Packet marks.
    pub const MANGLE: i32 = -150;
    /// Destination NAT.
    pub const DSTNAT: i32 = -100;
    /// Filtering.
    pub const FILTER: i32 = 0;
    /// Source NAT.
    pub const SRCNAT: i32 = 100;
    /// Destination NAT of the bridge family.
    pub const BRIDGE_DSTNAT: i32 = -300;
}

/// What a base chain may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChainKind {
    /// Filter.
    Filter,
    /// Translate addresses.
    Nat,
    /// Change what decides the route of locally made packets.
    Route,
}

impl ChainKind {
    fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Nat => "nat",
            Self::Route => "route",
        }
    }
}

/// Where on its way a base chain sees a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hook {
    /// As it comes in.
    Prerouting,
    /// On its way to a local process.
    Input,
    /// On its way through.
    Forward,
    /// From a local process.
    Output,
    /// As it goes out.
    Postrouting,
    /// Netdev family: as a link receives it.
    Ingress,
    /// Netdev family: as a link sends it.
    Egress,
}

impl Hook {
    fn number(self) -> u32 {
        match self {
            Self::Prerouting | Self::Ingress => 0,
            Self::Input | Self::Egress => 1,
            Self::Forward => 2,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }
}

/// What becomes of packets that reach the end of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Policy {
    /// They go on.
    #[default]
    Accept,
    /// They are dropped.
    Drop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Base<'a> {
    kind: ChainKind,
    hook: Hook,
    priority: i32,
    policy: Policy,
    device: Option<&'a str>,
}

/// A chain to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain<'a> {
    name: &'a str,
    base: Option<Base<'a>>,
    comment: Option<&'a str>,
}

impl<'a> Chain<'a> {
    /// A regular chain, reached by jumps only.
    #[must_use]
    pub const fn new(name: &'a str) -> Self {
        Self {
            name,
            base: None,
            comment: None,
        }
    }

    /// Makes it a base chain, which packets reach by a hook. Its policy is to accept.
    #[must_use]
    pub const fn base(mut self, kind: ChainKind, hook: Hook, priority: i32) -> Self {
        self.base = Some(Base {
            kind,
            hook,
            priority,
            policy: Policy::Accept,
            device: None,
        });
        self
    }

    /// A base chain that translates addresses.
    #[must_use]
    pub const fn nat(self, hook: Hook, priority: i32) -> Self {
        self.base(ChainKind::Nat, hook, priority)
    }

    /// A base chain that filters.
    #[must_use]
    pub const fn filter(self, hook: Hook, priority: i32) -> Self {
        self.base(ChainKind::Filter, hook, priority)
    }

    /// The policy of a base chain.
    #[must_use]
    pub const fn policy(mut self, policy: Policy) -> Self {
        if let Some(base) = &mut self.base {
            base.policy = policy;
        }
        self
    }

    /// The link of a base chain of the netdev family.
    #[must_use]
    pub const fn device(mut self, device: &'a str) -> Self {
        if let Some(base) = &mut self.base {
            base.device = Some(device);
        }
        self
    }

    /// Its comment, kept if it is made now.
    #[must_use]
    pub const fn comment(mut self, comment: &'a str) -> Self {
        self.comment = Some(comment);
        self
    }

    fn put(&self, b: &mut Buffer) {
        if let Some(base) = &self.base {
            b.nest(NFTA_CHAIN_HOOK, |b| {
                b.put_be32(NFTA_HOOK_HOOKNUM, base.hook.number());
                b.put_be32(NFTA_HOOK_PRIORITY, base.priority.cast_unsigned());
                if let Some(device) = base.device {
                    b.put_str(NFTA_HOOK_DEV, device);
                }
            });
            b.put_str(NFTA_CHAIN_TYPE, base.kind.name());
            b.put_be32(NFTA_CHAIN_POLICY, u32::from(base.policy == Policy::Accept));
        }
        if let Some(text) = self.comment {
            b.put(
                NFTA_CHAIN_USERDATA,
                &userdata::comment(userdata::COMMENT, text),
            );
        }
    }
}

/// A chain as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainInfo {
    /// The name.
    pub name: String,
    /// The handle, never used twice in its table.
    pub handle: u64,
    /// How many rules it has and are jumping to it, together.
    pub uses: u32,
    /// `nat`, `filter` or `route` for a base chain.
    pub kind: Option<String>,
    /// The priority of a base chain.
    pub priority: Option<i32>,
    /// Where a base chain sees packets, by the kernel's number.
    hook: Option<u32>,
    /// What becomes of packets that reach the end of a base chain.
    pub policy: Policy,
    /// The comment.
    pub comment: Option<String>,
}

impl ChainInfo {
    /// Whether it filters what passes there, as a base chain of a family of IP.
    #[must_use]
    pub fn filters(&self, hook: Hook) -> bool {
        self.kind.as_deref() == Some("filter") && self.hook == Some(hook.number())
    }

    pub(super) fn parse(payload: &[u8]) -> Option<(String, Self)> {
        let mut table = String::new();
        let mut info = Self {
            name: String::new(),
            handle: 0,
            uses: 0,
            kind: None,
            priority: None,
            hook: None,
            policy: Policy::Accept,
            comment: None,
        };
        for a in Attributes::after(payload, 4) {
            match a.kind {
                NFTA_CHAIN_TABLE => table = a.string(),
                NFTA_CHAIN_NAME => info.name = a.string(),
                NFTA_CHAIN_HANDLE => info.handle = a.be64()?,
                NFTA_CHAIN_USE => info.uses = a.be32()?,
                NFTA_CHAIN_TYPE => info.kind = Some(a.string()),
                NFTA_CHAIN_HOOK => {
                    let get = |kind| Attributes::find(a.value, kind).and_then(|n| n.be32());
                    info.priority = get(NFTA_HOOK_PRIORITY).map(u32::cast_signed);
                    info.hook = get(NFTA_HOOK_HOOKNUM);
                }
                NFTA_CHAIN_POLICY if a.be32() == Some(0) => info.policy = Policy::Drop,
                NFTA_CHAIN_USERDATA => {
                    info.comment = userdata::find_comment(a.value, userdata::COMMENT);
                }
                _ => {}
            }
        }
        Some((table, info))
    }
}

impl Batch<'_> {
    /// Makes a chain unless it exists. One that exists keeps its comment.
    pub fn ensure_chain(&mut self, table: &Table<'_>, chain: &Chain<'_>) -> &mut Self {
        self.new_chain(table, chain, "ensure chain", NLM_F_CREATE)
    }

    /// Makes a chain; `is_exists()` if there is one.
    pub fn create_chain(&mut self, table: &Table<'_>, chain: &Chain<'_>) -> &mut Self {
        self.new_chain(table, chain, "create chain", NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Deletes a chain with its rules; `is_absent()` if there is none, `is_busy()` if a rule
    /// jumps to it.
    pub fn delete_chain(&mut self, table: &Table<'_>, name: &str) -> &mut Self {
        let head = header(table.family);
        // The kernel refuses to delete a regular chain with rules before Linux 6.4 or so.
        self.flush_chain(table, name);
        self.message(
            "delete chain",
            table.title_of(name),
            NFT_MSG_DELCHAIN,
            0,
            head,
            |b| {
                b.put_str(NFTA_CHAIN_TABLE, table.name);
                b.put_str(NFTA_CHAIN_NAME, name);
            },
        )
    }

    /// Deletes all rules of a chain; `is_absent()` if there is no such chain.
    pub fn flush_chain(&mut self, table: &Table<'_>, name: &str) -> &mut Self {
        let head = header(table.family);
        self.message(
            "flush chain",
            table.title_of(name),
            NFT_MSG_DELRULE,
            0,
            head,
            |b| {
                b.put_str(NFTA_RULE_TABLE, table.name);
                b.put_str(NFTA_RULE_CHAIN, name);
            },
        )
    }

    fn new_chain(
        &mut self,
        table: &Table<'_>,
        chain: &Chain<'_>,
        operation: &'static str,
        flags: u16,
    ) -> &mut Self {
        let (title, head) = (table.title_of(chain.name), header(table.family));
        self.message(operation, title, NFT_MSG_NEWCHAIN, flags, head, |b| {
            b.put_str(NFTA_CHAIN_TABLE, table.name);
            b.put_str(NFTA_CHAIN_NAME, chain.name);
            chain.put(b);
        })
    }
}
