//! The masquerade by iptables: one transaction per family, and none where there is nothing
//! to do. Chain, comments and rules are those of the Go reference plugins.

use super::super::SetupError;
use super::super::check::mismatch;
use super::super::iptables::direct::{Chains, led_to};
use super::super::iptables::presence;
use super::super::nftables::Nftables;
use super::super::owner::Owner;
use super::iptables_script::{HOOK, Script, claims_in, stale};
use super::{Addresses, BackendChoice};
use ipnet::IpNet;
use netloom_kernel::iptables::{self, Family};
use netloom_kernel::nft::RuleInfo;
use netloom_plugin::host::ClaimedAddress;
use netloom_plugin::{Found, Scope, Sweep};
use netloom_spec::Error;

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// The masquerade of one owner in each family.
fn scripts(owner: Owner<'_>, nets: &[IpNet]) -> [(Family, Script); 2] {
    FAMILIES.map(|family| (family, Script::new(owner, family == Family::V6, nets)))
}

/// Makes the chain, its rules and the jumps to it.
pub(super) fn create(
    nftables: &Nftables,
    owner: Owner<'_>,
    nets: &[IpNet],
) -> Result<(), SetupError> {
    for (family, script) in scripts(owner, nets) {
        if script.is_empty() {
            continue;
        }
        let text = if presence::may_have_chain(nftables, family, script.chain())? {
            script.complete(&save(family)?)
        } else {
            Some(script.create())
        };
        if let Some(text) = text {
            restore(family, &text)?;
        }
    }
    Ok(())
}

/// Removes the chain, its rules and the jumps to it. Nothing is executed where they cannot be.
pub(super) fn remove(
    nftables: &Nftables,
    owner: Owner<'_>,
    choice: BackendChoice,
    of: Addresses<'_>,
) -> Result<(), SetupError> {
    let mut outcome = Ok(());
    for (family, script) in scripts(owner, of.nets()) {
        outcome = outcome.and(remove_renamed(nftables, family, owner, &script));
        outcome = outcome.and(remove_of(
            nftables,
            family,
            &script,
            choice,
            of.is_certain(),
        ));
    }
    outcome
}

/// Removes what leads from the owner's addresses to the chain of its container on a network that was
/// called otherwise at ADD. Where its own chain is there, there is none of that.
fn remove_renamed(
    nftables: &Nftables,
    family: Family,
    owner: Owner<'_>,
    script: &Script,
) -> Result<(), SetupError> {
    if script.is_empty() || presence::has_chain(nftables, family, script.chain())? {
        return Ok(());
    }
    let is_own = |jump: &RuleInfo| {
        let comment = jump.iptables_comment();
        script.owns_stored(jump) && comment.is_some_and(|text| owner.is_in_iptables_comment(text))
    };
    let chains = led_to(nftables, family, &[HOOK], is_own)?;
    let renamed = Chains {
        family,
        table: "nat",
        from: &[HOOK],
        own: &chains,
    };
    renamed.remove(nftables, is_own).map(drop)
}

fn remove_of(
    nftables: &Nftables,
    family: Family,
    script: &Script,
    choice: BackendChoice,
    certain: bool,
) -> Result<(), SetupError> {
    let chains = [script.chain().to_owned()];
    let direct = Chains {
        family,
        table: "nat",
        from: &[HOOK],
        own: &chains,
    };
    let of_unknown = script.is_empty() && !certain;
    let is_done = direct.remove(nftables, |jump| {
        (of_unknown && script.is_named_by(jump)) || script.owns_stored(jump)
    })?;
    let hidden = !choice.excludes_iptables() && presence::has_legacy_nat_table(family);
    if (is_done && !hidden) || !iptables::is_available(family) {
        return Ok(());
    }
    if !script.is_empty() && iptables::restore(family, &script.remove()).is_ok() {
        return Ok(());
    }
    // Something of it is gone already, or others share the chain: look, then remove what is there.
    match script.sweep(&save(family)?, certain) {
        Some(text) => restore(family, &text),
        None => Ok(()),
    }
}

/// Every rule is there.
pub(super) fn check(owner: Owner<'_>, nets: &[IpNet]) -> Result<(), SetupError> {
    let nftables = Nftables::open()?;
    for (family, script) in scripts(owner, nets) {
        if script.is_empty() {
            continue;
        }
        let saved = match presence::may_have_chain(&nftables, family, script.chain())? {
            true => save(family)?,
            false => String::new(),
        };
        if let Some(rule) = script.missing_from(&saved) {
            return Err(mismatch(format!(
                "masquerade rule not found by iptables: {rule}"
            )));
        }
    }
    Ok(())
}

/// The chains of containers that have no valid attachment to the network. The chain does not tell
/// interfaces apart, so one valid attachment keeps a container's chain.
pub(super) fn sweep(scope: &Scope<'_>, how: Sweep<'_>) -> Result<Vec<Found>, Error> {
    let nftables = Nftables::open()?;
    let mut chains = Vec::new();
    for family in FAMILIES {
        if !iptables::is_available(family) || !presence::may_have_nat_table(&nftables, family)? {
            continue;
        }
        let Some(script) = stale(&save(family)?, scope.network.as_str(), scope.valid) else {
            continue;
        };
        let gone = script.lines().filter_map(|line| line.strip_prefix("-X "));
        let told = gone.map(|chain| Found::collectable(format!("chain {chain} ({family})")));
        chains.extend(told);
        if how.removes() {
            restore(family, &script)?;
        }
    }
    Ok(chains)
}

/// For whom there are jumps to chains of the network.
pub(super) fn claims(network: &str) -> Result<Vec<ClaimedAddress>, SetupError> {
    let nftables = Nftables::open()?;
    let mut found = Vec::new();
    for family in FAMILIES {
        if iptables::is_available(family) && presence::may_have_nat_table(&nftables, family)? {
            found.extend(claims_in(&save(family)?, network));
        }
    }
    Ok(found)
}

fn save(family: Family) -> Result<String, SetupError> {
    iptables::save(family, Some("nat")).map_err(SetupError::kernel(format!(
        "failed to list the masquerade rules of {family}"
    )))
}

fn restore(family: Family, text: &str) -> Result<(), SetupError> {
    iptables::restore(family, text).map_err(SetupError::kernel(format!(
        "failed to change the masquerade rules of {family}"
    )))
}
