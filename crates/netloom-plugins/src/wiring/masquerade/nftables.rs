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

use super::super::SetupError;
use super::super::check::mismatch;
use super::super::claimant::of_comment;
use super::super::claims::{Place, claimed_addresses, delete_set, withdraw};
use super::super::elements::{self, Elements, Sets, Standing};
use super::super::elements::{delete_rules, has_prefix, rules_of, staleness};
use super::super::nftables::Nftables;
use super::super::owner::{Owner, network_hash, prefix_of_instance};
use super::super::transaction::{self, atomically};
use super::entry::{Entry, SET_PREFIX, set_comment_prefix, subnet_of};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netloom_kernel::Result;
use netloom_kernel::nft::{Batch, Chain, Family, Hook, Rule, Socket, Table, priority};
use netloom_plugin::host::ClaimedAddress;
use netloom_plugin::{Found, Scope, Sweep};
use netloom_spec::Error;
use std::net::{Ipv4Addr, Ipv6Addr};

pub(crate) const TABLE: Table<'static> = Table::new(Family::Inet, "cni_plugins_masquerade")
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
pub(super) fn create(
    nftables: &Nftables,
    owner: Owner<'_>,
    nets: &[IpNet],
) -> std::result::Result<(), SetupError> {
    let entries = Entry::all(owner, nets);
    let add = |batch: &mut Batch<'_>| {
        for entry in &entries {
            batch.create_elements(&TABLE, &entry.set, &[entry.element()]);
        }
    };
    let complete = |socket: &Socket, batch: &mut Batch<'_>| complete(socket, batch, &entries);
    let created = nftables
        .socket()
        .and_then(|socket| elements::create(socket, add, complete));
    created.map_err(SetupError::kernel("failed to masquerade by nftables"))
}

/// Adds whatever is missing, from the table to the elements; an address that belonged to another
/// owner is this one's until it leaves.
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
        let (table, set, key) = (&TABLE, entry.set.as_str(), &entry.key());
        let is_own = |comment: &str| entry.owns(comment);
        Place { table, set, key }.take(socket, batch, entry.shape(), &entry.claim(), is_own)?;
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
/// do not lead to all of its elements, the sets of its network are looked through; and where that has
/// nothing of it, the others, because the network may have been called otherwise at ADD.
pub(super) fn remove(
    nftables: &Nftables,
    owner: Owner<'_>,
    nets: &[IpNet],
) -> std::result::Result<(), SetupError> {
    let entries = Entry::all(owner, nets);
    let remove = |socket: &Socket| {
        atomically(socket, |socket, batch| {
            elements_of(owner, &entries).remove(socket, batch, || sets(socket, owner, &entries))?;
            let instance = owner.nft_instance();
            let rules = socket.list_rules(&TABLE, MASQ_CHECKS)?;
            delete_rules(batch, &TABLE, MASQ_CHECKS, &rules, |comment| {
                prefix_of_instance(comment, &instance).is_some()
            });
            Ok(())
        })
    };
    nftables
        .with(remove)
        .map_err(SetupError::kernel("failed to remove nftables' masquerade"))
}

/// Where the elements of the addresses are.
fn elements_of<'e>(owner: Owner<'e>, entries: &[Entry]) -> Elements<'e> {
    let keys = entries.iter().map(|entry| (entry.set.clone(), entry.key()));
    Elements {
        table: &TABLE,
        owner,
        keys: keys.collect(),
    }
}

/// The sets that may have others of the owner's: an address is in a set of its subnet.
fn sets(socket: &Socket, owner: Owner<'_>, entries: &[Entry]) -> Result<Sets> {
    let of_network = set_comment_prefix(owner.network);
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for set in socket.list_sets(&TABLE)? {
        let comment = set.comment.as_deref();
        if !set.name.starts_with(SET_PREFIX) {
            continue;
        }
        if has_prefix(comment, &of_network) {
            own.push(set.name);
            continue;
        }
        let subnet = subnet_of(comment);
        let there = entries.iter().filter(|it| Some(it.net.trunc()) == subnet);
        let keys = there.map(Entry::key).collect();
        others.push((set.name, keys));
    }
    Ok(Sets { own, others })
}

/// The names of the sets of a network, one for each of its subnets.
fn sets_of(socket: &Socket, network: &str) -> Result<Vec<String>> {
    let prefix = set_comment_prefix(network);
    let sets = socket.list_sets(&TABLE)?.into_iter();
    let own = sets.filter(|set| has_prefix(set.comment.as_deref(), &prefix));
    Ok(own.map(|set| set.name).collect())
}

/// Every address is in its set, and the way from the hook to the sets is whole.
pub(super) fn check(owner: Owner<'_>, nets: &[IpNet]) -> std::result::Result<(), SetupError> {
    match missing(owner, nets).map_err(SetupError::kernel("failed to read nftables' masquerade"))? {
        Some(text) => Err(mismatch(format!(
            "{text} in nftables' table {}",
            TABLE.name()
        ))),
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
    let entries = Entry::all(owner, nets);
    let elements = elements_of(owner, &entries);
    for entry in entries.iter().filter(|_| !by_rule) {
        let (ip, set) = (entry.net.addr(), &entry.set);
        let lack = match elements.look(&socket, set, &entry.key())? {
            Standing::InForce => None,
            Standing::Shadowed(by) => Some(format!("is shadowed by {by}")),
            Standing::Absent => Some("not found".to_owned()),
        };
        if let Some(lack) = lack {
            return Ok(Some(format!("masquerade of {ip} {lack}")));
        }
        if rules_of(&rules, set).next().is_none() {
            let text = format!("masquerade of {ip}: chain {MASQ_CHECKS} lacks the rule for {set}");
            return Ok(Some(text));
        }
    }
    let way = socket.list_rules(&TABLE, POSTROUTING)?;
    Ok((way.len() < 3).then(|| format!("masquerade: chain {POSTROUTING} lacks its rules")))
}

/// For whom the network's elements and rules are. Those of a rule of Go's are for one address.
pub(super) fn claims(network: &str) -> std::result::Result<Vec<ClaimedAddress>, SetupError> {
    let find = || {
        let socket = Socket::open()?;
        let mut found = Vec::new();
        for set in sets_of(&socket, network)? {
            found.extend(claimed_addresses(&socket, &TABLE, &set, network)?);
        }
        let own = format!("{}-", network_hash(network));
        for rule in socket.list_rules(&TABLE, MASQ_CHECKS)? {
            if let (Some(comment), Some(address)) = (&rule.comment, rule.saddr())
                && comment.starts_with(&own)
            {
                found.push(of_comment(network, comment, address));
            }
        }
        Ok(found)
    };
    find().map_err(SetupError::kernel("failed to read nftables' masquerade"))
}

/// The network's elements and rules that belong to no valid attachment, by their comments. The sets
/// in which no address is left go too.
pub(super) fn sweep(scope: &Scope<'_>, how: Sweep<'_>) -> std::result::Result<Vec<Found>, Error> {
    let network = scope.network.as_str();
    let is_stale = staleness(network, scope.valid);
    transaction::sweep(how, "masquerade of nftables", |socket, batch| {
        let mut found = Vec::new();
        let rules = socket.list_rules(&TABLE, MASQ_CHECKS)?;
        for set in sets_of(socket, network)? {
            let is_stale = |_: &[u8], comment: &str| is_stale(comment);
            let withdrawn = withdraw(socket, batch, &TABLE, &set, is_stale)?;
            if withdrawn.kept == 0 {
                delete_rules(batch, &TABLE, MASQ_CHECKS, &rules, |comment| comment == set);
                delete_set(socket, batch, &TABLE, &set)?;
            }
            found.extend(withdrawn.comments());
        }
        delete_rules(batch, &TABLE, MASQ_CHECKS, &rules, &is_stale);
        found.extend(rules.into_iter().filter_map(|rule| rule.comment));
        found.retain(|comment| is_stale(comment));
        Ok(found)
    })
}
