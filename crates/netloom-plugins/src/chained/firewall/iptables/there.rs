//! What of the shared chains and rules is there, found out without executing anything where
//! iptables is built on nf_tables, however many rules the pods have.

use super::rules::{FORWARD, STAGE_1, Shared, Target};
use super::script::{Script, There};
use super::tables::{find_marker, looking, table};
use crate::wiring::SetupError;
use crate::wiring::iptables::value_of;
use crate::wiring::nftables::Nftables;
use netloom_kernel::iptables::Family;
use netloom_kernel::nft::{RuleInfo, Socket, Table, Verdict};

/// Looks for the chains and rules of a script, and for what a lost DEL left.
pub(super) fn look(
    nftables: &Nftables,
    family: Family,
    script: &Script,
) -> Result<There, SetupError> {
    let marker = find_marker(nftables, family, script.marker())?;
    // An ADD repeated after a lost DEL, or tables that only iptables can read.
    if marker.may_be_there() {
        let saved = super::save(family)?;
        return Ok(There {
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
        .with(|socket| read(socket, &table(family), script).map(Some))
        .map_err(looking)?
        .map_or_else(|| Ok(nothing(script)), Ok)
}

/// A kernel without nf_tables, and without any table of iptables yet.
fn nothing(script: &Script) -> There {
    There {
        chains: script.chains().map(|_| false).collect(),
        rules: script.shared().iter().map(|_| false).collect(),
        kept_apart: false,
        left: String::new(),
    }
}

fn read(socket: &Socket, table: &Table<'_>, script: &Script) -> netloom_kernel::Result<There> {
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
    Ok(There {
        chains,
        rules,
        kept_apart,
        left: String::new(),
    })
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
