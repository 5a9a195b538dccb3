//! Native chains of others that let no connection of pods pass, whatever the rules of this plugin
//! say: in nf_tables a packet must get through every base chain of a hook.
//!
//! A chain counts only if it is certain. One that accepts, or jumps, under a condition that is not
//! understood here may have its reasons.

use super::plan::Choice;
use crate::wiring::SetupError;
use crate::wiring::nftables::Nftables;
use netloom_kernel::nft::{ChainInfo, Family, Fate, Hook, Policy, Socket, Table};
use netloom_spec::AddResult;

/// A base chain that stops everything of pods.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed {
    family: Family,
    table: String,
    chain: String,
}

impl Closed {
    /// What is wrong.
    pub(super) fn words(&self) -> String {
        format!(
            "nftables' chain {} stops all connections of pods",
            self.path()
        )
    }

    /// The command that lets them pass.
    pub(super) fn mend(&self, choice: Choice, links: &[&str]) -> String {
        let insert = |rule: String| format!("nft insert rule {} {rule}", self.path());
        if choice == Choice::Nftables {
            return insert(format!("meta mark {:#x} accept", mark_of(choice)));
        }
        let link = links.first().copied().unwrap_or_default();
        let states = "ct state established,related accept";
        [
            insert(format!("iifname {link:?} accept")),
            insert(states.to_owned()),
            insert(format!("oifname {link:?} ct status dnat accept")),
        ]
        .join("; ")
    }

    /// As `nft` names it: `inet filter forward`.
    fn path(&self) -> String {
        format!("{} {} {}", self.family.name(), self.table, self.chain)
    }
}

/// The links of the host by which packets of the attachment come in. None where the pod's link is on
/// a wire of its own, and the host forwards nothing for it.
pub(super) fn links_of(result: &AddResult) -> Vec<&str> {
    let of_host = result.interfaces.iter().filter(|it| it.sandbox.is_empty());
    of_host.map(|it| it.name.as_str()).collect()
}

/// The first chain that stops what comes in by one of the links, in one of the families: IPv4, IPv6. `mark`: what
/// such packets carry.
pub(super) fn find(
    families: [bool; 2],
    links: &[&str],
    mark: u32,
) -> Result<Option<Closed>, SetupError> {
    if links.is_empty() {
        return Ok(None);
    }
    let find = |socket: &Socket| {
        for (family, is_asked) in [
            (Family::Inet, true),
            (Family::Ip, families[0]),
            (Family::Ip6, families[1]),
        ] {
            for (table, chain) in socket.list_all_chains(family)? {
                let looked_at =
                    is_asked && chain.filters(Hook::Forward) && !is_iptables(family, &chain);
                if looked_at && is_closed(socket, family, &table, &chain, links, mark)? {
                    let chain = chain.name;
                    return Ok(Some(Closed {
                        family,
                        table,
                        chain,
                    }));
                }
            }
        }
        Ok(None)
    };
    let found = Nftables::open()?.with(find);
    found.map_err(SetupError::kernel("failed to read nftables' chains"))
}

/// The mark that lets packets of pods pass by one rule in each chain.
pub(super) fn mark_of(choice: Choice) -> u32 {
    match choice {
        Choice::Nftables => super::nftables::MARK,
        _ => 0,
    }
}

/// Iptables' own, which has the plugin's rules or its mark's.
fn is_iptables(family: Family, chain: &ChainInfo) -> bool {
    family != Family::Inet && chain.name == "FORWARD"
}

fn is_closed(
    socket: &Socket,
    family: Family,
    table: &str,
    chain: &ChainInfo,
    links: &[&str],
    mark: u32,
) -> netloom_kernel::Result<bool> {
    let rules = socket.list_rules(&Table::new(family, table), &chain.name)?;
    Ok(links.iter().all(|link| {
        let mut fates = rules.iter().map(|rule| rule.fate_of_new(link, mark));
        match fates.find(|fate| *fate != Fate::GoesOn) {
            Some(fate) => fate == Fate::Stopped,
            None => chain.policy == Policy::Drop,
        }
    }))
}
