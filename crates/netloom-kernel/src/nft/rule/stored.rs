//! Rules in the kernel: add, insert, delete, read back.

use super::super::message::NFT_MSG_DELRULE;
use super::translate::IPS_DST_NAT;
use super::{
    CtState, NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS, NFTA_RULE_TABLE, NFTA_RULE_USERDATA, Rule,
};
use crate::netlink::{Attributes, NLM_F_APPEND, NLM_F_CREATE};
use std::net::IpAddr;

use crate::nft::expression::{Found, Loaded, MetaKey, found_in};
use crate::nft::{Batch, SUBSYSTEM, Table, Verdict, header, userdata};

const NFT_MSG_NEWRULE: u16 = SUBSYSTEM | 6;
const NFTA_RULE_HANDLE: u16 = 3;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// A rule as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleInfo {
    /// The handle, never used twice in its table.
    pub handle: u64,
    /// The comment. That of `iptables` is a match: [`RuleInfo::iptables_comment`].
    pub comment: Option<String>,
    /// What it looks at and does, as far as anybody asks.
    found: Vec<Found>,
}

/// What becomes of a packet at a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The next rule decides.
    GoesOn,
    /// It is dropped, or rejected.
    Stopped,
    /// It may be let pass, here or by a chain that this rule leads to.
    MayPass,
}

/// Whether a condition holds for such a packet; `Some(None)` where that is not known here, and
/// `None` if it is no condition.
fn holds(found: &Found, link: &str, mark: u32) -> Option<Option<bool>> {
    let (loaded, equal, with) = match found {
        Found::Compared(loaded, equal, with) => (*loaded, *equal, with),
        Found::Condition | Found::Translated => return Some(None),
        _ => return None,
    };
    let same = match loaded {
        Loaded::Meta(key) if key == MetaKey::Iifname as u32 => is_named(link, with),
        Loaded::Meta(key) if key == MetaKey::Mark as u32 => with[..] == mark.to_ne_bytes(),
        Loaded::Meta(key) if key == MetaKey::L4proto as u32 => match with[..] {
            [ICMP | ICMPV6] => false,
            _ => return Some(None),
        },
        Loaded::CtState(bits) if is_zero(with) => bits & CtState::NEW.0 == 0,
        _ => return Some(None),
    };
    Some(Some(same == equal))
}

/// Whether a link has the name that a rule compares with: a whole one ends with a zero, `veth*` does
/// not.
fn is_named(link: &str, with: &[u8]) -> bool {
    match with.iter().position(|byte| *byte == 0) {
        Some(end) => with[..end] == *link.as_bytes(),
        None => link.as_bytes().starts_with(with),
    }
}

fn is_zero(value: &[u8]) -> bool {
    value.iter().all(|byte| *byte == 0)
}

impl RuleInfo {
    /// What it does in the end, if that is a verdict.
    #[must_use]
    pub fn verdict(&self) -> Option<&Verdict> {
        self.found.iter().rev().find_map(|found| match found {
            Found::Verdict(verdict) => Some(verdict),
            _ => None,
        })
    }

    /// What the match `comment` of `iptables` says.
    #[must_use]
    pub fn iptables_comment(&self) -> Option<&str> {
        self.found.iter().find_map(|found| match found {
            Found::Comment(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// Whether it matches packets of connections whose destination was translated, and no others.
    #[must_use]
    pub fn is_of_translated(&self) -> bool {
        self.found.iter().any(|found| {
            matches!(
                found,
                Found::Translated | Found::Compared(Loaded::CtStatus(IPS_DST_NAT), false, _)
            )
        })
    }

    /// What becomes, at this rule, of the first packet of a TCP or UDP connection that comes in by a
    /// link of this name with this mark.
    #[must_use]
    pub fn fate_of_new(&self, link: &str, mark: u32) -> Fate {
        let conditions = || self.found.iter().filter_map(|it| holds(it, link, mark));
        if conditions().any(|holds| holds == Some(false)) {
            return Fate::GoesOn;
        }
        let is_sure = conditions().all(|holds| holds == Some(true));
        let end = self.found.iter().rev().find_map(|found| match found {
            Found::Verdict(Verdict::Continue) => None,
            Found::Verdict(Verdict::Drop) | Found::Reject => Some(Fate::Stopped),
            Found::Verdict(_) | Found::Elsewhere => Some(Fate::MayPass),
            _ => None,
        });
        match end {
            Some(Fate::Stopped) if !is_sure => Fate::GoesOn,
            Some(fate) => fate,
            None => Fate::GoesOn,
        }
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

    /// Whether it matches packets whose mark has these bits, whatever the others are.
    #[must_use]
    pub fn compares_mark_bits(&self, bits: u32) -> bool {
        self.found.iter().any(|found| {
            matches!(found, Found::Compared(Loaded::MarkBits(of), true, with)
                if *of == bits && with[..] == bits.to_ne_bytes())
        })
    }

    /// Whether it matches packets with exactly this source address.
    #[must_use]
    pub fn compares_saddr(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => self.compares_network(12, &ip.octets()),
            IpAddr::V6(ip) => self.compares_network(8, &ip.octets()),
        }
    }

    /// The one source address that it matches, if it does.
    #[must_use]
    pub fn saddr(&self) -> Option<IpAddr> {
        self.found.iter().find_map(|found| match found {
            Found::Compared(Loaded::Network(12), true, with) => {
                Some(<[u8; 4]>::try_from(with.as_slice()).ok()?.into())
            }
            Found::Compared(Loaded::Network(8), true, with) => {
                Some(<[u8; 16]>::try_from(with.as_slice()).ok()?.into())
            }
            _ => None,
        })
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
            _ => false,
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
