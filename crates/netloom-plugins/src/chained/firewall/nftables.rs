//! The firewall by nf_tables, over netlink, which the Go reference plugin does not have.
//!
//! ```text
//! table inet cni_plugins_firewall
//! set pods4-… { type ipv4_addr; elements = { 10.1.0.5 comment "…", … } }     one per network
//! chain pods { ip saddr @pods4-… goto pass
//!              ip daddr @pods4-… ct state established,related goto pass
//!              ip daddr @pods4-… ct status dnat goto pass }
//! ```
//!
//! A pod owns its elements and nothing else; an ADD is one transaction of them, however many pods
//! there are. How a packet gets past the chains of others tells `foreign`.

mod foreign;
mod foundation;

use super::plan::Wanted;
use crate::wiring::Fault;
use crate::wiring::check::drift;
use crate::wiring::elements::{delete_elements, delete_rules, has_prefix, rules_of, staleness};
use crate::wiring::nftables::Nftables;
use crate::wiring::owner::{Owner, network_hash};
use crate::wiring::transaction::atomically;
pub(super) use foreign::MARK;
use foundation::{PASS, PODS, TABLE};
use netloom_kernel::Result;
use netloom_kernel::nft::{Batch, CtState, Element, Field, Key, KeyType};
use netloom_kernel::nft::{Rule, RuleInfo, Set, Socket};
use netloom_kernel::rtnl;
use netloom_spec::Attachment;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The rules that look into a set: what comes from its pods, what is an answer to them, and what a
/// port of the host was published for.
const RULES_OF_SET: usize = 3;
/// Those of netloom before it let published ports in; the next ADD on the host adds the third.
const FORMER_RULES_OF_SET: usize = 2;

/// The set of a network's addresses, IPv4 or IPv6.
fn set_of(network: &str, v6: bool) -> String {
    let version = if v6 { 6 } else { 4 };
    format!("pods{version}-{}", network_hash(network))
}

fn element(owner: Owner<'_>, ip: IpAddr) -> Element {
    Element::new(Key::new().ip(ip)).comment(owner.nft_comment())
}

/// Lets the pod's packets pass. Usually all else is there, and that is one small transaction.
pub(super) fn create(owner: Owner<'_>, wanted: &Wanted) -> std::result::Result<(), Fault> {
    let create = || {
        let socket = Socket::open()?;
        let outcome = if is_open(&socket, owner, wanted)? {
            Some(add_elements(&socket, owner, wanted))
        } else {
            None
        };
        match outcome {
            Some(Err(error)) if !error.is_absent() && !error.is_exists() => Err(error),
            Some(Ok(())) => Ok(()),
            _ => atomically(&socket, |socket, batch| {
                complete(socket, batch, owner, wanted)
            }),
        }
    };
    create().map_err(Fault::kernel(
        "failed to make the firewall rules by nftables",
    ))
}

/// Whether all is there but the elements: nobody's chain stops the pods, and the rules look into
/// their sets.
fn is_open(socket: &Socket, owner: Owner<'_>, wanted: &Wanted) -> Result<bool> {
    if !foreign::missing(socket)?.is_empty() {
        return Ok(false);
    }
    let rules = socket.list_rules(&TABLE, PODS)?;
    Ok([false, true].into_iter().all(|v6| {
        wanted.of_family(v6).next().is_none()
            || rules_of(&rules, &set_of(owner.network, v6)).count() == RULES_OF_SET
    }))
}

fn add_elements(socket: &Socket, owner: Owner<'_>, wanted: &Wanted) -> Result<()> {
    let mut batch = socket.batch();
    for ip in &wanted.ips {
        let set = set_of(owner.network, ip.is_ipv6());
        batch.create_elements(&TABLE, &set, &[element(owner, *ip)]);
    }
    keep_apart(&mut batch, owner, wanted);
    batch.commit()
}

fn keep_apart(batch: &mut Batch<'_>, owner: Owner<'_>, wanted: &Wanted) {
    if let Some(bridge) = &wanted.bridge {
        for (set, element) in foundation::apart(bridge, owner.network) {
            batch.ensure_elements(&TABLE, set, &[element]);
        }
    }
}

/// Adds whatever is missing, from the table to the elements; an address that belonged to another
/// owner goes over to this one.
fn complete(
    socket: &Socket,
    batch: &mut Batch<'_>,
    owner: Owner<'_>,
    wanted: &Wanted,
) -> Result<()> {
    if foundation::missing(socket)?.is_some() {
        foundation::lay(batch);
    }
    if !foundation::has_override(socket, &wanted.admin_chain)? {
        foundation::add_override(batch, &wanted.admin_chain);
    }
    for closed in foreign::missing(socket)? {
        foreign::open(batch, closed);
    }
    let rules = socket.list_rules(&TABLE, PODS)?;
    renew(batch, &rules);
    for v6 in [false, true] {
        let set = set_of(owner.network, v6);
        if wanted.of_family(v6).next().is_none() {
            continue;
        }
        if rules_of(&rules, &set).next().is_none() {
            let comment = format!("net: {}", owner.network);
            batch.ensure_set(&TABLE, &Set::new(&set, &[key_type(v6)]).comment(&comment));
            look_into(batch, &set, v6);
        }
        for ip in wanted.of_family(v6) {
            let key = Key::new().ip(ip);
            match socket.get_element(&TABLE, &set, &key)? {
                Some(found) if has_prefix(found.comment.as_deref(), &owner.nft_prefix()) => {
                    continue;
                }
                Some(_) => {
                    batch.delete_elements(&TABLE, &set, &[Element::new(key)]);
                }
                None => {}
            }
            batch.create_elements(&TABLE, &set, &[element(owner, ip)]);
        }
    }
    keep_apart(batch, owner, wanted);
    Ok(())
}

/// Gives every network of the host all rules that it is to have: those of an older release lack one.
fn renew(batch: &mut Batch<'_>, rules: &[RuleInfo]) {
    for (set, count) in counted(rules) {
        if count != RULES_OF_SET {
            delete_rules(batch, &TABLE, PODS, rules, |comment| comment == set);
            look_into(batch, set, set.starts_with("pods6-"));
        }
    }
}

/// The sets that rules look into, and how many do.
fn counted(rules: &[RuleInfo]) -> BTreeMap<&str, usize> {
    let mut counted = BTreeMap::new();
    for set in rules.iter().filter_map(|rule| rule.comment.as_deref()) {
        if set.starts_with("pods4-") || set.starts_with("pods6-") {
            *counted.entry(set).or_default() += 1;
        }
    }
    counted
}

fn key_type(v6: bool) -> KeyType {
    if v6 {
        KeyType::Ipv6Addr
    } else {
        KeyType::Ipv4Addr
    }
}

/// Makes the rules that look into a set.
fn look_into(batch: &mut Batch<'_>, set: &str, v6: bool) {
    let (from, to) = if v6 {
        (Field::Ip6Saddr, Field::Ip6Daddr)
    } else {
        (Field::IpSaddr, Field::IpDaddr)
    };
    let answers = CtState::ESTABLISHED | CtState::RELATED;
    let sent = Rule::new().in_set(&[from], set);
    let answered = Rule::new().in_set(&[to], set).ct_state(answers);
    let published = Rule::new().in_set(&[to], set).ct_is_dnat();
    for rule in [sent, answered, published] {
        batch.add_rule(&TABLE, PODS, &rule.goto(PASS).comment(set));
    }
}

/// Removes the owner's elements. Where the addresses do not lead to all of them, the sets of its
/// network are looked through. Returns whether there were any.
pub(super) fn remove(
    nftables: &Nftables,
    owner: Owner<'_>,
    ips: &[IpAddr],
) -> std::result::Result<bool, Fault> {
    let prefix = owner.nft_prefix();
    let is_own = |comment: &str| comment.starts_with(&prefix);
    let remove = |socket: &Socket| {
        let mut any = false;
        atomically(socket, |socket, batch| {
            let found = own_elements(socket, owner, ips)?;
            any = !found.is_empty();
            if found.is_empty() || found.len() < ips.len() {
                for v6 in [false, true] {
                    let set = set_of(owner.network, v6);
                    delete_elements(socket, batch, &TABLE, &set, is_own)?;
                }
                any |= !batch.is_empty();
            } else {
                for (set, key) in found {
                    batch.delete_elements(&TABLE, &set, &[Element::new(key)]);
                }
            }
            Ok(())
        })?;
        Ok(any)
    };
    nftables
        .with(remove)
        .map_err(Fault::kernel("failed to remove nftables' firewall rules"))
}

/// Where the addresses are that have not gone over to another owner.
fn own_elements(socket: &Socket, owner: Owner<'_>, ips: &[IpAddr]) -> Result<Vec<(String, Key)>> {
    let mut found = Vec::with_capacity(ips.len());
    for ip in ips {
        let (set, key) = (set_of(owner.network, ip.is_ipv6()), Key::new().ip(*ip));
        let there = socket.get_element(&TABLE, &set, &key)?;
        if there.is_some_and(|there| has_prefix(there.comment.as_deref(), &owner.nft_prefix())) {
            found.push((set, key));
        }
    }
    Ok(found)
}

/// Everything that makes the pod's packets pass, or keeps them away, is there.
pub(super) fn check(owner: Owner<'_>, wanted: &Wanted) -> std::result::Result<(), Fault> {
    match missing(owner, wanted)
        .map_err(Fault::kernel("failed to read nftables' firewall rules"))?
    {
        Some(text) => Err(drift(text)),
        None => Ok(()),
    }
}

fn missing(owner: Owner<'_>, wanted: &Wanted) -> Result<Option<String>> {
    let socket = Socket::open()?;
    let in_table = |text: String| Ok(Some(format!("{text} in nftables' table {}", TABLE.name())));
    if let Some((chain, rule)) = foundation::missing(&socket)? {
        return in_table(format!("firewall: chain {chain} lacks its rule {rule:?}"));
    }
    if !foundation::has_override(&socket, &wanted.admin_chain)? {
        return in_table(format!("firewall: no jump to chain {}", wanted.admin_chain));
    }
    let rules = socket.list_rules(&TABLE, PODS)?;
    let counted = counted(&rules);
    let is_former = counted.values().all(|count| *count == FORMER_RULES_OF_SET);
    let whole = if is_former {
        FORMER_RULES_OF_SET
    } else {
        RULES_OF_SET
    };
    for ip in &wanted.ips {
        let set = set_of(owner.network, ip.is_ipv6());
        let found = socket.get_element(&TABLE, &set, &Key::new().ip(*ip))?;
        let prefix = owner.nft_prefix();
        if !found.is_some_and(|found| has_prefix(found.comment.as_deref(), &prefix)) {
            return in_table(format!("firewall: {ip} not found in set {set}"));
        }
        if counted.get(set.as_str()) != Some(&whole) {
            return in_table(format!("firewall: chain {PODS} lacks rules for set {set}"));
        }
    }
    for (set, key) in wanted.bridge.iter().flat_map(foundation::apart_keys) {
        if socket.get_element(&TABLE, set, &key)?.is_none() {
            let bridge = wanted.bridge.as_ref().map_or("", |bridge| &bridge.name);
            return in_table(format!("firewall: bridge {bridge} not found in set {set}"));
        }
    }
    let closed = foreign::missing(&socket)?.into_iter().next();
    Ok(closed.map(|closed| {
        let chain = foreign::describe(closed);
        format!("firewall: nftables' {chain} lacks the rule that lets traffic of pods pass")
    }))
}

/// Removes the network's elements that belong to no valid attachment, the sets in which no address
/// is left, and its bridges that are gone.
pub(super) fn collect(network: &str, valid: &[Attachment]) -> std::result::Result<(), Fault> {
    let is_stale = staleness(network, valid);
    let collect = |socket: &Socket| {
        let host = rtnl::Socket::open()?;
        atomically(socket, |socket, batch| {
            let rules = socket.list_rules(&TABLE, PODS)?;
            for v6 in [false, true] {
                let set = set_of(network, v6);
                let kept = delete_elements(socket, batch, &TABLE, &set, &is_stale)?;
                if kept == 0 && socket.get_set(&TABLE, &set)?.is_some() {
                    delete_rules(batch, &TABLE, PODS, &rules, |comment| comment == set);
                    batch.delete_set(&TABLE, &set);
                }
            }
            for bridge in lost_bridges(socket, &host, network)? {
                foundation::forget(socket, batch, &bridge)?;
            }
            Ok(())
        })
    };
    let nftables = Nftables::open()?;
    nftables.with(collect).map_err(Fault::kernel(
        "failed to collect stale firewall rules of nftables",
    ))
}

/// The bridges to which the network gave a policy, and that are gone.
fn lost_bridges(socket: &Socket, host: &rtnl::Socket, network: &str) -> Result<Vec<String>> {
    let mut lost = Vec::new();
    for bridge in foundation::bridges_of(socket, network)? {
        if host.find_link(&bridge)?.is_none() {
            lost.push(bridge);
        }
    }
    Ok(lost)
}

/// What [`collect`] would remove, but for sets without addresses, which are nobody's.
pub(super) fn stale(
    network: &str,
    valid: &[Attachment],
) -> std::result::Result<Vec<String>, Fault> {
    let is_stale = staleness(network, valid);
    let find = || {
        let (socket, host) = (Socket::open()?, rtnl::Socket::open()?);
        let mut found = Vec::new();
        for v6 in [false, true] {
            let elements = socket.list_elements(&TABLE, &set_of(network, v6))?;
            found.extend(elements.into_iter().filter_map(|element| element.comment));
        }
        found.retain(|comment| is_stale(comment));
        let lost = lost_bridges(&socket, &host, network)?;
        found.extend(
            lost.iter()
                .map(|bridge| format!("bridge {bridge}, which is gone")),
        );
        Ok(found)
    };
    find().map_err(Fault::kernel("failed to read nftables' firewall rules"))
}
