//! The masquerade by nf_tables, over netlink.
//!
//! Table, base chains and comments are those of the Go reference plugins, which add a rule for
//! each address to the chain `masq_checks`. Here that chain has one rule for each subnet of a
//! network, for any number of pods, and the addresses are elements of a set:
//!
//! ```text
//! set sources-… { type ipv4_addr; elements = { 10.1.0.5 comment "…", … } }
//! chain masq_checks { ip saddr @sources-… ip daddr != 10.1.0.0/16 masquerade }
//! ```
//!
//! A pod owns its elements and nothing else. The comment of an element tells whose it is, so
//! that an address which went on to another pod is not taken from it.
//!
//! A set and not a verdict map: whenever a verdict comes to a map, the kernel validates all of
//! them again, and an ADD beside 10,000 pods would take longer than the first.

use super::super::Fault;
use super::super::check::drift;
use super::super::elements::{delete_elements, delete_rules, has_prefix, rules_of, staleness};
use super::super::nftables::Nftables;
use super::super::owner::Owner;
use super::super::transaction::atomically;
use super::entry::{Entry, set_comment_prefix};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netloom_kernel::Result;
use netloom_kernel::nft::{Batch, Chain, Element, Family, Hook, Rule, Socket, Table, priority};
use netloom_spec::Attachment;
use std::net::{Ipv4Addr, Ipv6Addr};

const TABLE: Table<'static> = Table::new(Family::Inet, "cni_plugins_masquerade")
    .comment("Masquerading for plugins from github.com/containernetworking/plugins");
const CHECKS: Chain<'static> = Chain::new("masq_checks")
    .comment("Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet");
const MASQ_CHECKS: &str = "masq_checks";
const POSTROUTING: &str = "postrouting";
const MULTICAST4: IpNet = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4));
const MULTICAST6: IpNet = IpNet::V6(Ipv6Net::new_assert(
    Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0),
    8,
));

/// Adds the addresses. Usually all else is there, and that is one small transaction.
pub(super) fn create(owner: Owner<'_>, nets: &[IpNet]) -> std::result::Result<(), Fault> {
    let entries = Entry::all(owner, nets);
    let create = || {
        let socket = Socket::open()?;
        match add_elements(&socket, &entries) {
            Err(error) if error.is_absent() || error.is_exists() => {
                atomically(&socket, |socket, batch| complete(socket, batch, &entries))
            }
            outcome => outcome,
        }
    };
    create().map_err(Fault::kernel("failed to masquerade by nftables"))
}

fn add_elements(socket: &Socket, entries: &[Entry]) -> Result<()> {
    let mut batch = socket.batch();
    for entry in entries {
        batch.create_elements(&TABLE, &entry.set, &[entry.element()]);
    }
    batch.commit()
}

/// Adds whatever is missing, from the table to the elements; an address that belonged to another
/// owner goes over to this one.
fn complete(socket: &Socket, batch: &mut Batch<'_>, entries: &[Entry]) -> Result<()> {
    if !is_whole(socket)? {
        add_foundation(batch);
    }
    let rules = socket.list_rules(&TABLE, MASQ_CHECKS)?;
    let mut sets: Vec<&str> = Vec::new();
    for entry in entries {
        if !sets.contains(&entry.set.as_str()) {
            sets.push(&entry.set);
            batch.ensure_set(&TABLE, &entry.new_set());
            if rules_of(&rules, &entry.set).next().is_none() {
                batch.add_rule(&TABLE, MASQ_CHECKS, &entry.rule());
            }
        }
        match socket.get_element(&TABLE, &entry.set, &entry.key())? {
            Some(found) if entry.owns(&found) => continue,
            Some(_) => {
                batch.delete_elements(&TABLE, &entry.set, &[Element::new(entry.key())]);
            }
            None => {}
        }
        batch.create_elements(&TABLE, &entry.set, &[entry.element()]);
    }
    Ok(())
}

/// Whether everything that all pods share is there.
fn is_whole(socket: &Socket) -> Result<bool> {
    Ok(socket.get_table(&TABLE)?.is_some() && socket.list_rules(&TABLE, POSTROUTING)?.len() >= 3)
}

/// Adds what all pods share, around what is there of it.
fn add_foundation(batch: &mut Batch<'_>) {
    batch
        .ensure_table(&TABLE)
        .ensure_chain(&TABLE, &CHECKS)
        .ensure_chain(
            &TABLE,
            &Chain::new(POSTROUTING).nat(Hook::Postrouting, priority::SRCNAT),
        )
        .flush_chain(&TABLE, POSTROUTING)
        .add_rule(
            &TABLE,
            POSTROUTING,
            &Rule::new().daddr_in(MULTICAST4).return_(),
        )
        .add_rule(
            &TABLE,
            POSTROUTING,
            &Rule::new().daddr_in(MULTICAST6).return_(),
        )
        .add_rule(&TABLE, POSTROUTING, &Rule::new().goto(MASQ_CHECKS));
}

/// Removes the owner's elements, and the rules that the Go plugins made for it. Where the addresses
/// do not lead to all of its elements, the sets of its network are looked through.
pub(super) fn remove(
    nftables: &Nftables,
    owner: Owner<'_>,
    nets: &[IpNet],
) -> std::result::Result<(), Fault> {
    let entries = Entry::all(owner, nets);
    let prefix = owner.nft_prefix();
    let is_own = |comment: &str| comment.starts_with(&prefix);
    let remove = |socket: &Socket| {
        atomically(socket, |socket, batch| {
            let found = own_entries(socket, &entries)?;
            if found.is_empty() || found.len() < entries.len() {
                for set in sets_of(socket, owner.network)? {
                    delete_elements(socket, batch, &TABLE, &set, is_own)?;
                }
            } else {
                for entry in found {
                    batch.delete_elements(&TABLE, &entry.set, &[Element::new(entry.key())]);
                }
            }
            let rules = socket.list_rules(&TABLE, MASQ_CHECKS)?;
            delete_rules(batch, &TABLE, MASQ_CHECKS, &rules, is_own);
            Ok(())
        })
    };
    nftables
        .with(remove)
        .map_err(Fault::kernel("failed to remove nftables' masquerade"))
}

/// The entries that are in their sets and have not gone over to another owner.
fn own_entries<'e>(socket: &Socket, entries: &'e [Entry]) -> Result<Vec<&'e Entry>> {
    let mut found = Vec::with_capacity(entries.len());
    for entry in entries {
        let element = socket.get_element(&TABLE, &entry.set, &entry.key())?;
        if element.is_some_and(|element| entry.owns(&element)) {
            found.push(entry);
        }
    }
    Ok(found)
}

/// The names of the sets of a network, one for each of its subnets.
fn sets_of(socket: &Socket, network: &str) -> Result<Vec<String>> {
    let prefix = set_comment_prefix(network);
    let sets = socket.list_sets(&TABLE)?.into_iter();
    let own = sets.filter(|set| has_prefix(set.comment.as_deref(), &prefix));
    Ok(own.map(|set| set.name).collect())
}

/// Every address is in its set, and the way from the hook to the sets is whole.
pub(super) fn check(owner: Owner<'_>, nets: &[IpNet]) -> std::result::Result<(), Fault> {
    match missing(owner, nets).map_err(Fault::kernel("failed to read nftables' masquerade"))? {
        Some(text) => Err(drift(format!("{text} in nftables' table {}", TABLE.name()))),
        None => Ok(()),
    }
}

fn missing(owner: Owner<'_>, nets: &[IpNet]) -> Result<Option<String>> {
    let socket = Socket::open()?;
    let rules = socket.list_rules(&TABLE, MASQ_CHECKS)?;
    let prefix = owner.nft_prefix();
    // The Go plugins' way of saying the same.
    let by_rule = rules
        .iter()
        .any(|rule| has_prefix(rule.comment.as_deref(), &prefix));
    for entry in Entry::all(owner, nets).iter().filter(|_| !by_rule) {
        let (ip, set) = (entry.net.addr(), &entry.set);
        let found = socket.get_element(&TABLE, set, &entry.key())?;
        if !found.is_some_and(|found| entry.owns(&found)) {
            return Ok(Some(format!("masquerade of {ip} not found")));
        }
        if rules_of(&rules, set).next().is_none() {
            let text = format!("masquerade of {ip}: chain {MASQ_CHECKS} lacks the rule for {set}");
            return Ok(Some(text));
        }
    }
    let way = socket.list_rules(&TABLE, POSTROUTING)?;
    Ok((way.len() < 3).then(|| format!("masquerade: chain {POSTROUTING} lacks its rules")))
}

/// Removes the network's elements and rules that belong to no valid attachment, and the sets in
/// which no address is left.
pub(super) fn collect(network: &str, valid: &[Attachment]) -> std::result::Result<(), Fault> {
    let is_stale = staleness(network, valid);
    let collect = |socket: &Socket| {
        atomically(socket, |socket, batch| {
            let rules = socket.list_rules(&TABLE, MASQ_CHECKS)?;
            delete_rules(batch, &TABLE, MASQ_CHECKS, &rules, &is_stale);
            for set in sets_of(socket, network)? {
                if delete_elements(socket, batch, &TABLE, &set, &is_stale)? == 0 {
                    delete_rules(batch, &TABLE, MASQ_CHECKS, &rules, |comment| comment == set);
                    batch.delete_set(&TABLE, &set);
                }
            }
            Ok(())
        })
    };
    let nftables = Nftables::open()?;
    nftables
        .with(collect)
        .map_err(Fault::kernel("failed to collect stale masquerade"))
}

/// The network's elements and rules that belong to no valid attachment, by their comments.
pub(super) fn stale(
    network: &str,
    valid: &[Attachment],
) -> std::result::Result<Vec<String>, Fault> {
    let is_stale = staleness(network, valid);
    let find = || {
        let socket = Socket::open()?;
        let mut found = Vec::new();
        for set in sets_of(&socket, network)? {
            let elements = socket.list_elements(&TABLE, &set)?;
            found.extend(elements.into_iter().filter_map(|element| element.comment));
        }
        let rules = socket.list_rules(&TABLE, MASQ_CHECKS)?;
        found.extend(rules.into_iter().filter_map(|rule| rule.comment));
        found.retain(|comment| is_stale(comment));
        Ok(found)
    };
    find().map_err(Fault::kernel("failed to read nftables' masquerade"))
}
