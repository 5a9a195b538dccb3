//! The containers' chains in a saved table: whose each is, where it leads, and how it is removed.

use super::rules::{DNAT, jumps};
use crate::wiring::iptables::{Saved, delete, value_of};
use crate::wiring::owner::Owner;
use netloom_plugin::host::{Claimant, ClaimedAddress};
use netloom_spec::Attachment;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// References up to 0.6 kept a chain of this kind for each container.
const OLD_SNAT: &str = "CNI-HOSTPORT-SNAT";
/// What leads to chains of containers.
pub(super) const LEADING: &[&str] = &[DNAT, OLD_SNAT];

/// The container's chain, that of old references, and that where the first is somebody else's.
pub(super) fn chains_of(owner: Owner<'_>) -> Vec<String> {
    vec![
        owner.iptables_chain_of("DN-"),
        owner.iptables_chain_of("SN-"),
        owner.iptables_chain_apart("DN-"),
    ]
}

/// Whether the comment of what leads to a chain says that the chain is the owner's.
pub(super) fn is_named_by(owner: Owner<'_>, comment: Option<&str>) -> bool {
    let own = owner.iptables_comment();
    // `dnat …`, or `snat …` of old references; long ones are cut.
    comment.is_none_or(|comment| {
        let named = comment.split_once(' ').map_or(comment, |(_, named)| named);
        own.starts_with(named)
    })
}

/// Whether a chain translates to the pod's address.
pub(super) fn leads_to_pod(saved: &Saved, chain: &str, pod: IpAddr) -> bool {
    let target = SocketAddr::new(pod, 0).to_string();
    let target = target.trim_end_matches('0');
    let mut targets = saved
        .of_chain(chain)
        .filter_map(|rule| value_of(rule, "--to-destination"));
    targets.any(|found| found.starts_with(target))
}

/// Those of the chains that no jump with another's comment leads to.
pub(super) fn of_owner(
    saved: &Saved,
    chains: &[String],
    is_own: impl Fn(Option<&str>) -> bool,
) -> Vec<String> {
    let owned = |chain: &&String| {
        LEADING
            .iter()
            .all(|from| jumps(saved, from, chain).all(|entry| is_own(value_of(entry, "--comment"))))
    };
    chains.iter().filter(owned).cloned().collect()
}

/// Removes chains of containers and what really leads to them; `None` when nothing does.
pub(super) fn sweep(saved: &Saved, chains: &[String]) -> Option<String> {
    let there: Vec<&String> = chains
        .iter()
        .filter(|chain| saved.declares(chain))
        .collect();
    if there.is_empty() {
        return None;
    }
    let mut script = String::from("*nat\n");
    for chain in &there {
        for from in LEADING {
            for entry in jumps(saved, from, chain) {
                delete(&mut script, entry);
            }
        }
    }
    for chain in there {
        let _ = write!(script, "-F {chain}\n-X {chain}\n");
    }
    script.push_str("COMMIT\n");
    Some(script)
}

/// The chains of the network's containers that have no valid attachment. Whose a chain is, the
/// comment of an entry tells.
pub(super) fn stale(saved: &Saved, network: &str, valid: &[Attachment]) -> Vec<String> {
    let mut chains = Vec::new();
    for entry in saved.rules.iter().filter(|rule| rule[1] == DNAT) {
        let Some(container_id) = container_of(entry, network) else {
            continue;
        };
        if valid
            .iter()
            .any(|attachment| attachment.container_id == container_id)
        {
            continue;
        }
        let owner = Owner {
            network,
            container_id,
            if_name: "",
        };
        let is_own = |comment: Option<&str>| is_named_by(owner, comment);
        for chain in of_owner(saved, &chains_of(owner), is_own) {
            if !chains.contains(&chain) {
                chains.push(chain);
            }
        }
    }
    chains
}

/// The network's containers, each with the addresses that its chains translate to.
pub(super) fn claims(saved: &Saved, network: &str) -> Vec<ClaimedAddress> {
    let mut found = Vec::new();
    for entry in saved.rules.iter().filter(|rule| rule[1] == DNAT) {
        let (container, chain) = (container_of(entry, network), value_of(entry, "-j"));
        let (Some(container), Some(chain)) = (container, chain) else {
            continue;
        };
        let targets = saved.of_chain(chain);
        let targets = targets.filter_map(|rule| value_of(rule, "--to-destination"));
        let addresses = targets.filter_map(|to| Some(to.parse::<SocketAddr>().ok()?.ip()));
        let addresses: BTreeSet<IpAddr> = addresses.collect();
        found.extend(addresses.into_iter().map(|address| ClaimedAddress {
            claimant: Claimant::Container(container.to_owned()),
            address,
        }));
    }
    found
}

/// The container id in the comment of an entry of this network.
fn container_of<'r>(entry: &'r [String], network: &str) -> Option<&'r str> {
    let comment = value_of(entry, "--comment")?;
    let rest = comment
        .strip_prefix("dnat name: \"")?
        .strip_prefix(network)?;
    rest.strip_prefix("\" id: \"")?.strip_suffix('"')
}
