//! Port mappings by iptables: one transaction per family. Chains, comments and rules are those of
//! the reference; the guard against spoofed loopback addresses is netloom's own.

mod chains;
mod found;
mod rules;
mod script;
mod seen;

use super::nftables::RemovalHints;
use super::plan::{Plan, Pod};
use crate::wiring::SetupError;
use crate::wiring::check::mismatch;
use crate::wiring::iptables::direct::{Chains, led_to};
use crate::wiring::iptables::{Saved, presence};
use crate::wiring::masquerade::BackendChoice;
use crate::wiring::nftables::Nftables;
use crate::wiring::owner::Owner;
use ipnet::IpNet;
use netloom_kernel::iptables::{self, Family};
use netloom_kernel::nft::RuleInfo;
use netloom_plugin::host::ClaimedAddress;
use netloom_plugin::{Found, Scope, Sweep};
use netloom_spec::Error;
use script::Script;
use seen::Seen;

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// What is to be mapped for one attachment, ready to be made.
#[derive(Debug)]
pub(super) struct Request {
    scripts: Vec<(Family, Script)>,
}

impl Request {
    pub(super) fn new(owner: Owner<'_>, plan: &Plan, pod: &Pod) -> Self {
        let scripts = pod.nets().map(|net| script(owner, plan, net));
        Self {
            scripts: scripts.filter(|(_, script)| !script.is_empty()).collect(),
        }
    }

    /// Makes the chain, what leads to it, and what is missing of what all share.
    pub(super) fn create(&self) -> Result<(), SetupError> {
        let nftables = Nftables::open()?;
        for (family, script) in &self.scripts {
            let mut script = script.clone();
            let mut seen = look(&nftables, *family, &script)?;
            if script.evades(&seen.own) {
                seen = look(&nftables, *family, &script)?;
            }
            while let Err(error) = restore(*family, &script.create(&seen)) {
                // Another ADD may have made meanwhile what this one was going to make.
                let now = look(&nftables, *family, &script)?;
                if seen == now {
                    return Err(error);
                }
                seen = now;
            }
        }
        Ok(())
    }

    /// Every rule is there.
    pub(super) fn check(&self) -> Result<(), SetupError> {
        let nftables = Nftables::open()?;
        for (family, script) in &self.scripts {
            let saved = match presence::may_have_chain(&nftables, *family, script.chain())? {
                true => save(*family, None)?,
                false => String::new(),
            };
            if let Some(what) = found::missing(script, &saved) {
                return Err(mismatch(format!("{what} by iptables of {family}")));
            }
        }
        Ok(())
    }
}

/// What is there of what all share.
fn look(nftables: &Nftables, family: Family, script: &Script) -> Result<Seen, SetupError> {
    let (chain, mark) = (script.chain(), script.mark());
    match Seen::by_netlink(nftables, family, chain, mark)? {
        Some(seen) => Ok(seen),
        None => Ok(Seen::of_saved(&save(family, None)?, chain, mark)),
    }
}

fn script(owner: Owner<'_>, plan: &Plan, net: IpNet) -> (Family, Script) {
    let family = if net.addr().is_ipv6() {
        Family::V6
    } else {
        Family::V4
    };
    (family, Script::new(owner, plan, net))
}

/// Removes the chain and what leads to it. Nothing is executed where they cannot be.
pub(super) fn remove(
    nftables: &Nftables,
    owner: Owner<'_>,
    choice: BackendChoice,
    hints: &RemovalHints<'_>,
) -> Result<(), SetupError> {
    let mut outcome = Ok(());
    for family in FAMILIES {
        outcome = outcome.and(remove_of(nftables, family, owner, choice, hints));
    }
    outcome
}

fn remove_of(
    nftables: &Nftables,
    family: Family,
    owner: Owner<'_>,
    choice: BackendChoice,
    hints: &RemovalHints<'_>,
) -> Result<(), SetupError> {
    let chains = chains::chains_of(owner);
    let direct = Chains {
        family,
        table: "nat",
        from: chains::LEADING,
        own: &chains,
    };
    let is_own = |jump: &RuleInfo| chains::is_named_by(owner, jump.iptables_comment());
    if direct.remove_ours(nftables, is_own)? == 0 {
        remove_renamed(nftables, family, owner, hints)?;
    }
    let hidden = !choice.excludes_iptables() && presence::has_legacy_nat_table(family);
    if !hidden || !iptables::is_available(family) {
        return Ok(());
    }
    let net = hints
        .pod
        .nets()
        .find(|net| net.addr().is_ipv6() == (family == Family::V6));
    if let (Some(plan), Some(net)) = (hints.plan, net) {
        let (_, script) = script(owner, plan, net);
        if !script.is_empty() && iptables::restore(family, &script.remove()).is_ok() {
            return Ok(());
        }
    }
    // Something of it is gone already, or is not as this configuration would make it.
    let saved = Saved::parse(&save(family, Some("nat"))?, "nat");
    let is_own = |comment: Option<&str>| chains::is_named_by(owner, comment);
    match chains::sweep(&saved, &chains::of_owner(&saved, &chains, is_own)) {
        Some(text) => restore(family, &text),
        None => Ok(()),
    }
}

/// Removes the chain of the container on a network that was called otherwise at ADD, if it leads to
/// the pod: the container may have other interfaces on other networks.
fn remove_renamed(
    nftables: &Nftables,
    family: Family,
    owner: Owner<'_>,
    hints: &RemovalHints<'_>,
) -> Result<(), SetupError> {
    let net = hints
        .pod
        .nets()
        .find(|net| net.addr().is_ipv6() == (family == Family::V6));
    let (Some(net), Some(_)) = (net, hints.plan) else {
        return Ok(());
    };
    let is_own = |jump: &RuleInfo| {
        let comment = jump.iptables_comment();
        comment.is_some_and(|comment| owner.is_in_iptables_comment(comment))
    };
    let mut chains = led_to(nftables, family, chains::LEADING, is_own)?;
    if chains.is_empty() || !iptables::is_available(family) {
        return Ok(());
    }
    let saved = Saved::parse(&save(family, Some("nat"))?, "nat");
    chains.retain(|chain| chains::leads_to_pod(&saved, chain, net.addr()));
    let renamed = Chains {
        family,
        table: "nat",
        from: chains::LEADING,
        own: &chains,
    };
    renamed.remove_ours(nftables, is_own).map(drop)
}

/// To whose addresses the network's chains lead.
pub(super) fn claims(network: &str) -> Result<Vec<ClaimedAddress>, SetupError> {
    let nftables = Nftables::open()?;
    let mut found = Vec::new();
    for family in FAMILIES {
        let saved = read(&nftables, family)?;
        found.extend(chains::claims(&saved, network));
    }
    Ok(found)
}

/// Table `nat`, empty where there is none.
fn read(nftables: &Nftables, family: Family) -> Result<Saved, SetupError> {
    let text = match iptables::is_available(family) {
        true if presence::may_have_nat_table(nftables, family)? => save(family, Some("nat"))?,
        _ => String::new(),
    };
    Ok(Saved::parse(&text, "nat"))
}

/// The chains of containers that have no valid attachment to the network. The chain does not tell
/// interfaces apart, so one valid attachment keeps a container's chain.
pub(super) fn sweep(scope: &Scope<'_>, how: Sweep<'_>) -> Result<Vec<Found>, Error> {
    let nftables = Nftables::open()?;
    let mut told = Vec::new();
    for family in FAMILIES {
        let saved = read(&nftables, family)?;
        let mut chains = chains::stale(&saved, scope.network.as_str(), scope.valid);
        chains.retain(|chain| saved.declares(chain));
        let words = |chain: &String| Found::collectable(format!("chain {chain} ({family})"));
        told.extend(chains.iter().map(words));
        if let (true, Some(text)) = (how.removes(), chains::sweep(&saved, &chains)) {
            restore(family, &text)?;
        }
    }
    Ok(told)
}

fn save(family: Family, table: Option<&str>) -> Result<String, SetupError> {
    iptables::save(family, table).map_err(SetupError::kernel(format!(
        "failed to list the port mappings of {family}"
    )))
}

fn restore(family: Family, text: &str) -> Result<(), SetupError> {
    iptables::restore(family, text).map_err(SetupError::kernel(format!(
        "failed to change the port mappings of {family}"
    )))
}
