//! The firewall by iptables: one transaction per family. Chains, comments and rules are those of
//! the Go reference plugin, and its rules do not tell whose they are.
//!
//! So each attachment has a chain of its own beside them, to which nothing jumps: its rules name
//! the addresses and the owner, and it comes and goes in the same transaction. Where two
//! attachments have one address, its rules are there twice, and each takes one copy away.

mod rules;
mod script;
mod sweep;
mod tables;
mod there;

use super::plan::Wanted;
use crate::wiring::SetupError;
use crate::wiring::check::mismatch;
use crate::wiring::iptables::Saved;
use crate::wiring::nftables::Nftables;
use crate::wiring::owner::Owner;
use netloom_kernel::iptables::{self, Family};
use netloom_plugin::{Found, Scope};
use netloom_spec::Error;
use rules::TABLE;
use script::Script;
use std::net::IpAddr;
use sweep::Sweep;

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
/// How often an ADD looks again because another one made the shared chains meanwhile.
const ATTEMPTS: usize = 10;

fn is_v6(family: Family) -> bool {
    family == Family::V6
}

/// Makes the pod's rules, and what they need of the shared ones.
pub(super) fn create(owner: Owner<'_>, wanted: &Wanted) -> Result<(), SetupError> {
    make(|v6| Script::new(owner, wanted, v6))
}

/// Keeps the bridge apart, and lets nothing pass.
pub(super) fn keep_apart(owner: Owner<'_>, wanted: &Wanted) -> Result<(), SetupError> {
    make(|v6| Script::apart(owner, wanted, v6))
}

fn make(script: impl Fn(bool) -> Script) -> Result<(), SetupError> {
    let nftables = Nftables::open()?;
    for family in FAMILIES {
        let script = script(is_v6(family));
        if !script.is_empty() {
            create_of(&nftables, family, &script)?;
        }
    }
    Ok(())
}

fn create_of(nftables: &Nftables, family: Family, script: &Script) -> Result<(), SetupError> {
    let mut attempt = 1;
    loop {
        let there = there::look(nftables, family, script)?;
        let Some(text) = script.create(&there) else {
            return Ok(());
        };
        match restore(family, &text) {
            // The chains that it makes exist by now, if another ADD was faster.
            Err(_) if attempt < ATTEMPTS && there != there::look(nftables, family, script)? => {
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

/// Removes the attachment's rules. `foreign`: where there is no chain of its own, it may be that
/// the Go plugin made the rules, and they are looked for.
pub(super) fn remove(
    nftables: &Nftables,
    owner: Owner<'_>,
    ips: &[IpAddr],
    foreign: bool,
) -> Result<(), SetupError> {
    let mut outcome = Ok(());
    for family in FAMILIES {
        let script = Script::of_addresses(owner, ips, is_v6(family));
        outcome = outcome.and(remove_of(nftables, family, &script, foreign));
    }
    outcome
}

fn remove_of(
    nftables: &Nftables,
    family: Family,
    script: &Script,
    foreign: bool,
) -> Result<(), SetupError> {
    let marker = tables::find_marker(nftables, family, script.marker())?;
    if marker.rules() == Some(script.claims())
        && script.whole().run_by_number(nftables, family, true)?
    {
        return Ok(());
    }
    let may_be_gos = foreign && !script.is_empty() && tables::may_have_rules(nftables, family)?;
    if !iptables::is_available(family) || !(marker.may_be_there() || may_be_gos) {
        return Ok(());
    }
    // Something of it is gone, or not known: look, then remove what is there.
    script.sweep(&save(family)?).run(nftables, family)
}

/// Every rule is there.
pub(super) fn check(owner: Owner<'_>, wanted: &Wanted) -> Result<(), SetupError> {
    compare(|v6| Script::new(owner, wanted, v6))
}

/// The bridge is kept apart.
pub(super) fn check_apart(owner: Owner<'_>, wanted: &Wanted) -> Result<(), SetupError> {
    compare(|v6| Script::apart(owner, wanted, v6))
}

fn compare(script: impl Fn(bool) -> Script) -> Result<(), SetupError> {
    for family in FAMILIES {
        let script = script(is_v6(family));
        if script.is_empty() {
            continue;
        }
        let saved = save(family)?;
        if let Some(missing) = script.missing_from(&saved) {
            return Err(mismatch(format!(
                "firewall: {missing} not found by iptables ({family})"
            )));
        }
    }
    Ok(())
}

/// The own chains of attachments of the network that are not valid any more, with the rules that they
/// stand for.
pub(super) fn sweep(
    scope: &Scope<'_>,
    how: netloom_plugin::Sweep<'_>,
) -> Result<Vec<Found>, Error> {
    let nftables = Nftables::open()?;
    let mut chains = Vec::new();
    for family in FAMILIES {
        if !iptables::is_available(family) || !tables::may_have_rules(&nftables, family)? {
            continue;
        }
        let found = Sweep::stale(&save(family)?, scope.network.as_str(), scope.valid);
        let told = |chain: &String| Found::collectable(format!("chain {chain} ({family})"));
        chains.extend(found.markers().iter().map(told));
        if how.removes() {
            found.run(&nftables, family)?;
        }
    }
    Ok(chains)
}

fn save(family: Family) -> Result<Saved, SetupError> {
    iptables::save(family, Some(TABLE))
        .map(|text| Saved::parse(&text, TABLE))
        .map_err(SetupError::kernel(format!(
            "failed to list the firewall rules of {family}"
        )))
}

fn restore(family: Family, text: &str) -> Result<(), SetupError> {
    iptables::restore(family, text).map_err(SetupError::kernel(format!(
        "failed to change the firewall rules of {family}"
    )))
}
