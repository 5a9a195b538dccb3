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
mod table;
mod wires;

use super::plan::Wanted;
use crate::wiring::SetupError;
use crate::wiring::check::mismatch;
use crate::wiring::claims::{Claim, Place, Shape, delete_set, withdraw};
use crate::wiring::elements::{self, Elements, Sets, Standing};
use crate::wiring::elements::{delete_rules, rules_of, staleness};
use crate::wiring::foretell;
use crate::wiring::nftables::Nftables;
use crate::wiring::owner::{Owner, network_hash, prefix_of_instance};
use crate::wiring::transaction::{self, atomically};
pub(super) use foreign::MARK;
use foundation::{PASS, PODS};
use netloom_kernel::Result;
use netloom_kernel::nft::{Batch, CtState, Element, Field, Key, KeyType};
use netloom_kernel::nft::{Rule, RuleInfo, Set, Socket};
use netloom_kernel::rtnl;
use netloom_plugin::forecast::Forecast;
use netloom_plugin::{Found, Scope, Sweep};
use std::collections::BTreeMap;
use std::net::IpAddr;
use table::TABLE;

/// The rules that look into a set: what comes from its pods, what is an answer to them, and what a
/// port of the host was published for.
const RULES_OF_SET: usize = 3;
/// Those of netloom before it let published ports in; the next ADD on the host adds the third.
const FORMER_RULES_OF_SET: usize = 2;

/// How the names of these begin, of IPv4 and IPv6.
const SET_PREFIXES: [&str; 2] = ["pods4-", "pods6-"];

/// The set of a network's addresses, IPv4 or IPv6.
fn set_of(network: &str, v6: bool) -> String {
    let prefix = SET_PREFIXES[usize::from(v6)];
    format!("{prefix}{}", network_hash(network))
}

/// The types of these sets.
fn shape(v6: bool) -> Shape<'static> {
    let key: &[KeyType] = if v6 {
        &[KeyType::Ipv6Addr]
    } else {
        &[KeyType::Ipv4Addr]
    };
    Shape { key, value: &[] }
}

fn element(owner: Owner<'_>, ip: IpAddr) -> Element {
    Element::new(Key::new().ip(ip)).comment(owner.nft_comment())
}

/// Lets the pod's packets pass. Usually all else is there, and that is one small transaction.
pub(super) fn create(owner: Owner<'_>, wanted: &Wanted) -> std::result::Result<(), SetupError> {
    let create = || {
        let socket = Socket::open()?;
        let wires = wires::entries(wanted)?;
        let complete =
            |socket: &Socket, batch: &mut Batch<'_>| complete(socket, batch, owner, wanted, &wires);
        match is_open(&socket, owner, wanted)? {
            true => elements::create(
                &socket,
                |batch| add_elements(batch, owner, wanted, &wires),
                complete,
            ),
            false => atomically(&socket, complete),
        }
    };
    create().map_err(SetupError::kernel(
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

fn add_elements(
    batch: &mut Batch<'_>,
    owner: Owner<'_>,
    wanted: &Wanted,
    wires: &[(&'static str, Key)],
) {
    for ip in &wanted.ips {
        let set = set_of(owner.network, ip.is_ipv6());
        batch.create_elements(&TABLE, &set, &[element(owner, *ip)]);
    }
    for (set, key) in wires {
        let element = Element::new(key.clone()).comment(owner.nft_comment());
        batch.create_elements(&TABLE, set, &[element]);
    }
    keep_apart(batch, owner, wanted);
}

fn keep_apart(batch: &mut Batch<'_>, owner: Owner<'_>, wanted: &Wanted) {
    if let Some(bridge) = &wanted.bridge {
        for (set, element) in foundation::apart(bridge, owner.network) {
            batch.ensure_elements(&TABLE, set, &[element]);
        }
    }
}

/// Adds whatever is missing, from the table to the elements; an address that belonged to another
/// owner is this one's until it leaves.
fn complete(
    socket: &Socket,
    batch: &mut Batch<'_>,
    owner: Owner<'_>,
    wanted: &Wanted,
    wires: &[(&'static str, Key)],
) -> Result<()> {
    if foundation::missing(socket, false)?.is_some() {
        foundation::lay(batch);
    }
    if !foundation::has_override(socket, &wanted.admin_chain)? {
        foundation::add_override(batch, &wanted.admin_chain);
    }
    for closed in foreign::missing(socket)? {
        foreign::open(batch, closed);
    }
    let claim = Claim {
        value: None,
        comment: Some(owner.nft_comment()),
    };
    let prefix = owner.nft_prefix();
    let is_own = |comment: &str| comment.starts_with(&prefix);
    let rules = socket.list_rules(&TABLE, PODS)?;
    renew(batch, &rules);
    for v6 in [false, true] {
        let set = set_of(owner.network, v6);
        if wanted.of_family(v6).next().is_none() {
            continue;
        }
        if rules_of(&rules, &set).next().is_none() {
            let comment = format!("net: {}", owner.network);
            batch.ensure_set(&TABLE, &Set::new(&set, shape(v6).key).comment(&comment));
            look_into(batch, &set, v6);
        }
        for ip in wanted.of_family(v6) {
            let (table, set, key) = (&TABLE, set.as_str(), &Key::new().ip(ip));
            Place { table, set, key }.take(socket, batch, shape(v6), &claim, is_own)?;
        }
    }
    for (set, key) in wires {
        if let Some(shape) = wires::shape(set) {
            let (table, set) = (&TABLE, *set);
            Place { table, set, key }.take(socket, batch, shape, &claim, is_own)?;
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
            look_into(batch, set, set.starts_with(SET_PREFIXES[1]));
        }
    }
}

/// The sets that rules look into, and how many do.
fn counted(rules: &[RuleInfo]) -> BTreeMap<&str, usize> {
    let mut counted = BTreeMap::new();
    for set in rules.iter().filter_map(|rule| rule.comment.as_deref()) {
        if SET_PREFIXES.iter().any(|prefix| set.starts_with(prefix)) {
            *counted.entry(set).or_default() += 1;
        }
    }
    counted
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
/// network are looked through; and where that has nothing of it, the others, because the network may
/// have been called otherwise at ADD. Returns whether there were any.
pub(super) fn remove(
    nftables: &Nftables,
    owner: Owner<'_>,
    ips: &[IpAddr],
    links: &[String],
) -> std::result::Result<bool, SetupError> {
    let remove = |socket: &Socket| {
        let mut any = false;
        atomically(socket, |socket, batch| {
            let sets = || sets(socket, owner, ips);
            let is_all = elements_of(owner, ips).remove(socket, batch, sets)?;
            any = !batch.is_empty();
            let instance = owner.nft_instance();
            let is_own = |comment: &str| prefix_of_instance(comment, &instance).is_some();
            wires::remove(socket, batch, ips, links, is_own)?;
            if !is_all {
                let prefix = owner.nft_prefix();
                wires::sweep(socket, batch, ips, |comment| comment.starts_with(&prefix))?;
            }
            Ok(())
        })?;
        Ok(any)
    };
    nftables.with(remove).map_err(SetupError::kernel(
        "failed to remove nftables' firewall rules",
    ))
}

/// Where the elements of the addresses are.
fn elements_of<'e>(owner: Owner<'e>, ips: &[IpAddr]) -> Elements<'e> {
    let key = |ip: &IpAddr| {
        let set = set_of(owner.network, ip.is_ipv6());
        (set, Key::new().ip(*ip))
    };
    Elements {
        table: &TABLE,
        owner,
        keys: ips.iter().map(key).collect(),
    }
}

/// The sets that may have others of the owner's.
fn sets(socket: &Socket, owner: Owner<'_>, ips: &[IpAddr]) -> Result<Sets> {
    let own = [false, true].map(|v6| set_of(owner.network, v6)).to_vec();
    let mut others = Vec::new();
    for set in socket.list_sets(&TABLE)? {
        let version = SET_PREFIXES.iter().position(|it| set.name.starts_with(it));
        if let Some(v6) = version.map(|version| version == 1)
            && !own.contains(&set.name)
        {
            let of_version = ips.iter().filter(|ip| ip.is_ipv6() == v6);
            let keys = of_version.map(|ip| Key::new().ip(*ip)).collect();
            others.push((set.name, keys));
        }
    }
    Ok(Sets { own, others })
}

/// Everything that makes the pod's packets pass, or keeps them away, is there.
pub(super) fn check(owner: Owner<'_>, wanted: &Wanted) -> std::result::Result<(), SetupError> {
    match missing(owner, wanted).map_err(SetupError::kernel(
        "failed to read nftables' firewall rules",
    ))? {
        Some(text) => Err(mismatch(text)),
        None => Ok(()),
    }
}

fn missing(owner: Owner<'_>, wanted: &Wanted) -> Result<Option<String>> {
    let socket = Socket::open()?;
    let in_table = |text: String| Ok(Some(format!("{text} in nftables' table {}", TABLE.name())));
    let rules = socket.list_rules(&TABLE, PODS)?;
    let counted = counted(&rules);
    let is_former = counted.values().all(|count| *count == FORMER_RULES_OF_SET);
    if let Some((chain, rule)) = foundation::missing(&socket, is_former)? {
        return in_table(format!("firewall: chain {chain} lacks its rule {rule:?}"));
    }
    if !foundation::has_override(&socket, &wanted.admin_chain)? {
        return in_table(format!("firewall: no jump to chain {}", wanted.admin_chain));
    }
    let whole = if is_former {
        FORMER_RULES_OF_SET
    } else {
        RULES_OF_SET
    };
    let elements = elements_of(owner, &wanted.ips);
    for ip in &wanted.ips {
        let set = set_of(owner.network, ip.is_ipv6());
        let lack = match elements.look(&socket, &set, &Key::new().ip(*ip))? {
            Standing::InForce => None,
            Standing::Shadowed(by) => Some(format!("is shadowed by {by}")),
            Standing::Absent => Some(format!("not found in set {set}")),
        };
        if let Some(lack) = lack {
            return in_table(format!("firewall: {ip} {lack}"));
        }
        if counted.get(set.as_str()) != Some(&whole) {
            return in_table(format!("firewall: chain {PODS} lacks rules for set {set}"));
        }
    }
    if let Some(ip) = wires::missing(&socket, owner, wanted)? {
        return in_table(format!("firewall: the link of {ip} not found"));
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

/// The network's elements that belong to no valid attachment, by their comments, and its bridges that
/// are gone. The sets in which no address is left go too: those are nobody's.
pub(super) fn sweep(
    scope: &Scope<'_>,
    how: Sweep<'_>,
) -> std::result::Result<Vec<Found>, netloom_spec::Error> {
    let network = scope.network.as_str();
    let is_stale = staleness(network, scope.valid);
    let host = rtnl::Socket::open().map_err(SetupError::kernel("failed to reach the kernel"))?;
    transaction::sweep(how, "firewall rules of nftables", |socket, batch| {
        let mut found = Vec::new();
        let rules = socket.list_rules(&TABLE, PODS)?;
        for v6 in [false, true] {
            let set = set_of(network, v6);
            let is_stale = |_: &[u8], comment: &str| is_stale(comment);
            let withdrawn = withdraw(socket, batch, &TABLE, &set, is_stale)?;
            if withdrawn.kept == 0 && socket.get_set(&TABLE, &set)?.is_some() {
                delete_rules(batch, &TABLE, PODS, &rules, |comment| comment == set);
                delete_set(socket, batch, &TABLE, &set)?;
            }
            found.extend(withdrawn.comments());
        }
        // Whose addresses are there is named by them.
        let wired = wires::sweep(socket, batch, &[], &is_stale)?.into_iter();
        let alone = wired.filter(|owner| !found.contains(owner));
        found.extend(alone.collect::<Vec<_>>());
        for bridge in lost_bridges(socket, &host, network)? {
            foundation::forget(socket, batch, &bridge)?;
            found.push(format!("bridge {bridge}, which is gone"));
        }
        Ok(found)
    })
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

/// What ADD would touch.
pub(super) fn describe(forecast: &mut Forecast<'_>) {
    foretell::table(forecast, TABLE);
}
