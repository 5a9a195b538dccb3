//! What of the shared chains and rules is there, found out without executing anything where
//! iptables is built on nf_tables, however many rules the pods have.

use super::script::{FORWARD, STAGE_1, Script, Shared, TABLE, Target};
use crate::wiring::Fault;
use crate::wiring::iptables::value_of;
use crate::wiring::nftables::Nftables;
use netloom_kernel::iptables::Family;
use netloom_kernel::nft::{self, RuleInfo, Socket, Table, Verdict};

/// What is there of what a script needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct There {
    /// Which of [`Script::chains`].
    pub(super) chains: Vec<bool>,
    /// Which of [`Script::shared`].
    pub(super) rules: Vec<bool>,
    /// Whether anything keeps bridges apart.
    pub(super) kept_apart: bool,
    /// Lines that remove what a lost DEL left of the attachment.
    pub(super) left: String,
}

impl There {
    pub(super) fn look(
        nftables: &Nftables,
        family: Family,
        script: &Script,
    ) -> Result<Self, Fault> {
        let marker = find_marker(nftables, family, script.marker())?;
        // An ADD repeated after a lost DEL, or tables that only iptables can read.
        if marker.may_be_there() {
            let saved = super::save(family)?;
            return Ok(Self {
                chains: script.chains().map(|chain| saved.declares(chain)).collect(),
                rules: script
                    .shared()
                    .iter()
                    .map(|rule| rule.is_in(&saved))
                    .collect(),
                kept_apart: saved
                    .of_chain(FORWARD)
                    .any(|rule| value_of(rule, "-j") == Some(STAGE_1)),
                left: script.sweep(&saved).lines(),
            });
        }
        nftables
            .with(|socket| Self::read(socket, &table(family), script).map(Some))
            .map_err(looking)?
            .map_or_else(|| Ok(Self::nothing(script)), Ok)
    }

    /// A kernel without nf_tables, and without any table of iptables yet.
    fn nothing(script: &Script) -> Self {
        Self {
            chains: script.chains().map(|_| false).collect(),
            rules: script.shared().iter().map(|_| false).collect(),
            kept_apart: false,
            left: String::new(),
        }
    }

    fn read(socket: &Socket, table: &Table<'_>, script: &Script) -> netloom_kernel::Result<Self> {
        let mut chains = Vec::new();
        for chain in script.chains() {
            chains.push(socket.get_chain(table, chain)?.is_some());
        }
        let mut rules = Vec::new();
        let entries = socket.list_rules(table, FORWARD)?;
        let kept_apart = entries
            .iter()
            .any(|rule| rule.verdict() == Some(&Verdict::Jump(STAGE_1.to_owned())));
        let mut listed: Vec<(&str, Vec<RuleInfo>)> = vec![(FORWARD, entries)];
        for rule in script.shared() {
            if rule.is_in_long_chain() {
                rules.push(is_jumped_to(socket, table, rule.target.word())?);
                continue;
            }
            if !listed.iter().any(|(chain, _)| *chain == rule.chain) {
                listed.push((rule.chain, socket.list_rules(table, rule.chain)?));
            }
            let of_chain = listed.iter().find(|(chain, _)| *chain == rule.chain);
            rules.push(of_chain.is_some_and(|(_, found)| found.iter().any(|f| is(f, rule))));
        }
        Ok(Self {
            chains,
            rules,
            kept_apart,
            left: String::new(),
        })
    }

    /// Whether it looks different by now.
    pub(super) fn has_changed(
        &self,
        nftables: &Nftables,
        family: Family,
        script: &Script,
    ) -> Result<bool, Fault> {
        Ok(*self != Self::look(nftables, family, script)?)
    }
}

/// A chain is referred to by each rule that it has, and by each jump to it: its own rules are few.
fn is_jumped_to(socket: &Socket, table: &Table<'_>, chain: &str) -> netloom_kernel::Result<bool> {
    let Some(found) = socket.get_chain(table, chain)? else {
        return Ok(false);
    };
    let own = socket.list_rules(table, chain)?.len();
    Ok(found.uses as usize > own)
}

fn is(found: &RuleInfo, rule: &Shared) -> bool {
    let verdict = match (found.verdict(), &rule.target) {
        (Some(Verdict::Jump(to)), Target::Chain(chain)) => to == chain,
        (Some(verdict), Target::Drop) => *verdict == Verdict::Drop,
        (Some(verdict), Target::Return) => *verdict == Verdict::Return,
        _ => false,
    };
    let comes = rule
        .from
        .as_ref()
        .is_none_or(|name| found.compares_iifname(true, name));
    let leaves = rule
        .to
        .as_ref()
        .is_none_or(|(equal, name)| found.compares_oifname(*equal, name));
    verdict && comes && leaves
}

/// The chain that tells what an attachment has.
#[derive(Debug)]
pub(super) enum Marker {
    Absent,
    /// With this many rules.
    Present(usize),
    /// Only iptables itself can tell.
    Hidden,
}

impl Marker {
    pub(super) fn may_be_there(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// How many rules it has, if that is known.
    pub(super) fn rules(&self) -> Option<usize> {
        match self {
            Self::Present(rules) => Some(*rules),
            Self::Absent | Self::Hidden => None,
        }
    }
}

pub(super) fn find_marker(
    nftables: &Nftables,
    family: Family,
    chain: &str,
) -> Result<Marker, Fault> {
    if has_legacy_table(family) {
        return Ok(Marker::Hidden);
    }
    let table = table(family);
    let rules = nftables.with(|socket| match socket.get_chain(&table, chain)? {
        Some(_) => Ok(Some(socket.list_rules(&table, chain)?.len())),
        None => Ok(None),
    });
    Ok(rules
        .map_err(looking)?
        .map_or(Marker::Absent, Marker::Present))
}

/// Whether any attachment can have rules.
pub(super) fn may_have_rules(nftables: &Nftables, family: Family) -> Result<bool, Fault> {
    if has_legacy_table(family) {
        return Ok(true);
    }
    let table = table(family);
    nftables
        .with(|socket| Ok(socket.get_chain(&table, super::script::PODS)?.is_some()))
        .map_err(looking)
}

fn looking(error: netloom_kernel::Error) -> Fault {
    Fault::kernel("failed to look for iptables' firewall rules")(error)
}

pub(super) fn table(family: Family) -> Table<'static> {
    match family {
        Family::V4 => Table::new(nft::Family::Ip, TABLE),
        Family::V6 => Table::new(nft::Family::Ip6, TABLE),
    }
}

/// The old kind of iptables lists its tables, and keeps their chains out of sight.
pub(super) fn has_legacy_table(family: Family) -> bool {
    let path = match family {
        Family::V4 => "/proc/thread-self/net/ip_tables_names",
        Family::V6 => "/proc/thread-self/net/ip6_tables_names",
    };
    std::fs::read_to_string(path).is_ok_and(|tables| tables.lines().any(|table| table == TABLE))
}
