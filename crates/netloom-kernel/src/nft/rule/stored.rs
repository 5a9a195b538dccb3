//! Rules in the kernel: add, insert, delete, read back.

use super::{
    NFT_MSG_DELRULE, NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS, NFTA_RULE_TABLE, NFTA_RULE_USERDATA,
    Rule,
};
use crate::netlink::{Attributes, NLM_F_APPEND, NLM_F_CREATE};
use std::net::IpAddr;

use crate::nft::expression::{Found, Loaded, MetaKey, found_in};
use crate::nft::{Batch, SUBSYSTEM, Table, Verdict, header, userdata};

const NFT_MSG_NEWRULE: u16 = SUBSYSTEM | 6;
const NFTA_RULE_HANDLE: u16 = 3;

/// A rule as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleInfo {
    /// The handle, never used twice in its table.
    pub handle: u64,
    /// The comment. That of `iptables` is a match, and not here.
    pub comment: Option<String>,
    /// What it looks at and does, as far as anybody asks.
    found: Vec<Found>,
}

impl RuleInfo {
    /// What it does in the end, if that is a verdict.
    #[must_use]
    pub fn verdict(&self) -> Option<&Verdict> {
        self.found.iter().rev().find_map(|found| match found {
            Found::Verdict(verdict) => Some(verdict),
            Found::Compared(..) => None,
        })
    }

    /// Whether it matches packets that came in by this link, or (`equal` is false) by any other.
    #[must_use]
    pub fn compares_iifname(&self, equal: bool, name: &str) -> bool {
        self.compares(MetaKey::Iifname, equal, name.as_bytes())
    }

    /// The same for the link that they leave by.
    #[must_use]
    pub fn compares_oifname(&self, equal: bool, name: &str) -> bool {
        self.compares(MetaKey::Oifname, equal, name.as_bytes())
    }

    /// Whether it matches packets with exactly this mark.
    #[must_use]
    pub fn compares_mark(&self, mark: u32) -> bool {
        self.compares(MetaKey::Mark, true, &mark.to_ne_bytes())
    }

    /// Whether it matches packets with exactly this source address.
    #[must_use]
    pub fn compares_saddr(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => self.compares_network(12, &ip.octets()),
            IpAddr::V6(ip) => self.compares_network(8, &ip.octets()),
        }
    }

    /// The same for the destination.
    #[must_use]
    pub fn compares_daddr(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => self.compares_network(16, &ip.octets()),
            IpAddr::V6(ip) => self.compares_network(24, &ip.octets()),
        }
    }

    fn compares_network(&self, offset: u32, value: &[u8]) -> bool {
        self.found.iter().any(|found| {
            matches!(found, Found::Compared(Loaded::Network(at), true, with)
                if *at == offset && with == value)
        })
    }

    /// Names are padded with zeros, by `nft` more than by `iptables`.
    fn compares(&self, key: MetaKey, equal: bool, value: &[u8]) -> bool {
        self.found.iter().any(|found| match found {
            Found::Compared(of, is_equal, with) => {
                let padding = with.strip_prefix(value);
                *of == Loaded::Meta(key as u32)
                    && *is_equal == equal
                    && padding.is_some_and(|rest| rest.iter().all(|byte| *byte == 0))
            }
            Found::Verdict(_) => false,
        })
    }
    pub(in crate::nft) fn parse(payload: &[u8]) -> Option<(String, String, Self)> {
        let (mut table, mut chain) = (String::new(), String::new());
        let mut info = Self {
            handle: 0,
            comment: None,
            found: Vec::new(),
        };
        for a in Attributes::after(payload, 4) {
            match a.kind {
                NFTA_RULE_TABLE => table = a.string(),
                NFTA_RULE_CHAIN => chain = a.string(),
                NFTA_RULE_HANDLE => info.handle = a.be64()?,
                NFTA_RULE_EXPRESSIONS => info.found = found_in(a.value),
                NFTA_RULE_USERDATA => {
                    info.comment = userdata::find_comment(a.value, userdata::COMMENT);
                }
                _ => {}
            }
        }
        Some((table, chain, info))
    }
}

impl Batch<'_> {
    /// Adds a rule at the end of a chain.
    pub fn add_rule(&mut self, table: &Table<'_>, chain: &str, rule: &Rule) -> &mut Self {
        self.new_rule(
            table,
            chain,
            rule,
            "add rule to chain",
            NLM_F_CREATE | NLM_F_APPEND,
        )
    }

    /// Adds a rule at the beginning of a chain.
    pub fn insert_rule(&mut self, table: &Table<'_>, chain: &str, rule: &Rule) -> &mut Self {
        self.new_rule(table, chain, rule, "insert rule into chain", NLM_F_CREATE)
    }

    /// Deletes a rule by its handle; `is_absent()` if there is none.
    pub fn delete_rule(&mut self, table: &Table<'_>, chain: &str, handle: u64) -> &mut Self {
        let object = format!("{handle} of chain {}", table.title_of(chain));
        let head = header(table.family);
        self.message("delete rule", object, NFT_MSG_DELRULE, 0, head, |b| {
            b.put_str(NFTA_RULE_TABLE, table.name);
            b.put_str(NFTA_RULE_CHAIN, chain);
            b.put_be64(NFTA_RULE_HANDLE, handle);
        })
    }

    fn new_rule(
        &mut self,
        table: &Table<'_>,
        chain: &str,
        rule: &Rule,
        operation: &'static str,
        flags: u16,
    ) -> &mut Self {
        let (title, head) = (table.title_of(chain), header(table.family));
        self.message(operation, title, NFT_MSG_NEWRULE, flags, head, |b| {
            b.put_str(NFTA_RULE_TABLE, table.name);
            b.put_str(NFTA_RULE_CHAIN, chain);
            rule.put(table.family, b);
        })
    }
}
