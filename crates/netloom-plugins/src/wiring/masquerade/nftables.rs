//! The masquerade by nf_tables, over netlink.
//!
//! Table, base chains and comments are those of the Go reference plugins, which add a rule for
//! each address to the chain `masq_checks`. Here that chain looks the source address up in a
//! verdict map, once for any number of pods, and the map sends it to a chain for its subnet:
//!
//! ```text
//! map sources4 { type ipv4_addr : verdict; elements = { 10.1.0.5 comment "…" : goto subnet-… } }
//! chain masq_checks { ip saddr vmap @sources4; ip6 saddr vmap @sources6 }
//! chain subnet-… { ip daddr != 10.1.0.0/16 masquerade }
//! ```
//!
//! A pod owns its elements and nothing else. The comment of an element tells whose it is, so
//! that an address which went on to another pod is not taken from it.

use super::super::Fault;
use super::super::check::drift;
use super::super::nftables::Nftables;
use super::super::owner::{Owner, network_hash};
use super::super::transaction::atomically;
use super::entry::{Entry, MAPS, has_prefix, key_of};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netloom_kernel::Result;
use netloom_kernel::nft::{
    Batch, Chain, Element, Family, Field, Hook, KeyType, Rule, Set, Socket, Table, Verdict,
    priority,
};
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
/// Comment of the rules that look addresses up, by which CHECK finds them.
const LOOKUP: &str = "an element for each pod address";

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
        batch.create_elements(&TABLE, entry.map(), &[entry.element()]);
    }
    batch.commit()
}

/// Adds whatever is missing, from the table to the elements; an address that belonged to another
/// owner goes over to this one.
fn complete(socket: &Socket, batch: &mut Batch<'_>, entries: &[Entry]) -> Result<()> {
    if !is_whole(socket)? {
        add_foundation(socket, batch)?;
    }
    let mut chains: Vec<&str> = Vec::new();
    for entry in entries {
        if !chains.contains(&entry.chain.as_str()) {
            chains.push(&entry.chain);
            if socket.get_chain(&TABLE, &entry.chain)?.is_none() {
                let chain = Chain::new(&entry.chain).comment(&entry.chain_comment);
                let rule = Rule::new().daddr_not_in(entry.net.trunc()).masquerade();
                batch
                    .create_chain(&TABLE, &chain)
                    .add_rule(&TABLE, &entry.chain, &rule);
            }
        }
        match socket.get_element(&TABLE, entry.map(), &entry.key())? {
            Some(found) if entry.is(&found) => continue,
            Some(_) => {
                batch.delete_elements(&TABLE, entry.map(), &[Element::new(entry.key())]);
            }
            None => {}
        }
        batch.create_elements(&TABLE, entry.map(), &[entry.element()]);
    }
    Ok(())
}

/// Whether everything that all pods share is there.
fn is_whole(socket: &Socket) -> Result<bool> {
    Ok(socket.get_table(&TABLE)?.is_some()
        && socket.list_rules(&TABLE, POSTROUTING)?.len() >= 3
        && lookups(socket)? == MAPS.len())
}

/// How many of the rules that look addresses up are there.
fn lookups(socket: &Socket) -> Result<usize> {
    let rules = socket.list_rules(&TABLE, MASQ_CHECKS)?;
    Ok(rules
        .iter()
        .filter(|rule| rule.comment.as_deref() == Some(LOOKUP))
        .count())
}

/// Adds what all pods share, around what is there of it.
fn add_foundation(socket: &Socket, batch: &mut Batch<'_>) -> Result<()> {
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
    for rule in socket.list_rules(&TABLE, MASQ_CHECKS)? {
        if rule.comment.as_deref() == Some(LOOKUP) {
            batch.delete_rule(&TABLE, MASQ_CHECKS, rule.handle);
        }
    }
    let kinds = [
        (KeyType::Ipv4Addr, Field::IpSaddr),
        (KeyType::Ipv6Addr, Field::Ip6Saddr),
    ];
    for (map, (key, field)) in MAPS.into_iter().zip(kinds) {
        batch.ensure_set(&TABLE, &Set::verdict_map(map, &[key]));
        let rule = Rule::new().vmap(&[field], map).comment(LOOKUP);
        batch.insert_rule(&TABLE, MASQ_CHECKS, &rule);
    }
    Ok(())
}

/// Removes the owner's elements, and the rules that the Go plugins made for it. Where the addresses
/// do not lead to all of its elements, all elements are looked through.
pub(super) fn remove(
    nftables: &Nftables,
    owner: Owner<'_>,
    nets: &[IpNet],
) -> std::result::Result<(), Fault> {
    let entries = Entry::all(owner, nets);
    let prefix = owner.nft_prefix();
    let is_own = |comment: &str| has_prefix(Some(comment), &prefix);
    let remove = |socket: &Socket| {
        atomically(socket, |socket, batch| {
            let found = own_entries(socket, &entries)?;
            if found.is_empty() || found.len() < entries.len() {
                delete_elements(socket, batch, is_own)?;
            } else {
                for entry in found {
                    batch.delete_elements(&TABLE, entry.map(), &[Element::new(entry.key())]);
                }
            }
            delete_rules(socket, batch, is_own)
        })
    };
    nftables
        .with(remove)
        .map_err(Fault::kernel("failed to remove nftables' masquerade"))
}

/// The entries that are in their maps and have not gone over to another owner.
fn own_entries<'e>(socket: &Socket, entries: &'e [Entry]) -> Result<Vec<&'e Entry>> {
    let mut found = Vec::with_capacity(entries.len());
    for entry in entries {
        let element = socket.get_element(&TABLE, entry.map(), &entry.key())?;
        if element.is_some_and(|element| entry.owns(&element)) {
            found.push(entry);
        }
    }
    Ok(found)
}

/// Deletes the elements of all maps whose comment says so; returns the chains the others go to.
fn delete_elements(
    socket: &Socket,
    batch: &mut Batch<'_>,
    is_stale: impl Fn(&str) -> bool,
) -> Result<Vec<String>> {
    let mut kept = Vec::new();
    for map in MAPS {
        let mut stale = Vec::new();
        for found in socket.list_elements(&TABLE, map)? {
            let own = found.comment.as_deref().is_some_and(&is_stale);
            match (own.then(|| key_of(&found)).flatten(), found.verdict) {
                (Some(key), _) => stale.push(Element::new(key)),
                (None, Some(Verdict::Goto(chain))) => kept.push(chain),
                (None, _) => {}
            }
        }
        batch.delete_elements(&TABLE, map, &stale);
    }
    Ok(kept)
}

/// Deletes the Go plugins' rules whose comment says so.
fn delete_rules(
    socket: &Socket,
    batch: &mut Batch<'_>,
    is_stale: impl Fn(&str) -> bool,
) -> Result<()> {
    for rule in socket.list_rules(&TABLE, MASQ_CHECKS)? {
        if rule.comment.as_deref().is_some_and(&is_stale) {
            batch.delete_rule(&TABLE, MASQ_CHECKS, rule.handle);
        }
    }
    Ok(())
}

/// Every address is in its map, and the way from the hook to the maps is whole.
pub(super) fn check(owner: Owner<'_>, nets: &[IpNet]) -> std::result::Result<(), Fault> {
    let read = Fault::kernel("failed to read nftables' masquerade");
    let missing = || {
        let socket = Socket::open()?;
        for entry in Entry::all(owner, nets) {
            let found = socket.get_element(&TABLE, entry.map(), &entry.key())?;
            let chain = socket.list_rules(&TABLE, &entry.chain)?;
            if !found.is_some_and(|found| entry.is(&found)) || chain.is_empty() {
                let rules = socket.list_rules(&TABLE, MASQ_CHECKS)?;
                // The Go plugins' way of saying the same.
                let prefix = owner.nft_prefix();
                if !rules
                    .iter()
                    .any(|rule| has_prefix(rule.comment.as_deref(), &prefix))
                {
                    return Ok(Some(format!(
                        "masquerade of {} not found",
                        entry.net.addr()
                    )));
                }
            } else if lookups(&socket)? != MAPS.len() {
                return Ok(Some(format!(
                    "masquerade: chain {MASQ_CHECKS} lacks its rules"
                )));
            }
        }
        let way = socket.list_rules(&TABLE, POSTROUTING)?;
        Ok((way.len() < 3).then(|| format!("masquerade: chain {POSTROUTING} lacks its rules")))
    };
    let missing: Result<Option<String>> = missing();
    match missing.map_err(read)? {
        Some(text) => Err(drift(format!("{text} in nftables' table {}", TABLE.name()))),
        None => Ok(()),
    }
}

/// Removes the network's elements and rules that belong to no valid attachment, and the chains of
/// its subnets to which nothing leads any more.
pub(super) fn collect(network: &str, valid: &[Attachment]) -> std::result::Result<(), Fault> {
    let hash = network_hash(network);
    let valid: Vec<String> = valid
        .iter()
        .map(|attachment| Owner::of(network, attachment).nft_comment())
        .collect();
    let is_stale = |comment: &str| {
        has_prefix(Some(comment), &format!("{hash}-")) && !valid.iter().any(|v| v == comment)
    };
    let collect = |socket: &Socket| {
        atomically(socket, |socket, batch| {
            let kept = delete_elements(socket, batch, is_stale)?;
            delete_rules(socket, batch, is_stale)?;
            for chain in socket.list_chains(&TABLE)? {
                let own = has_prefix(chain.comment.as_deref(), &format!("{hash}, net: "));
                if own && !kept.contains(&chain.name) {
                    batch.delete_chain(&TABLE, &chain.name);
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
