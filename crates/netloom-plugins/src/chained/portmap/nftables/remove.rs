//! DEL and GC: an attachment's elements, found by their keys or, where those are not known, by
//! whose they are.

use super::entry::{Entry, subnet_key};
use super::layout::{self, ATTACHMENTS, IpVersion, PODS, subnets};
use super::port_key::PortKey;
use super::record::{self, Digest, Record};
use super::scope::Scope;
use super::{Mapped, RemovalHints, loopback, upstream_rules};
use crate::chained::portmap::mapping::Transport;
use crate::chained::portmap::plan::{Masquerade, Plan, Pod};
use crate::wiring::SetupError;
use crate::wiring::claimant::address;
use crate::wiring::claims::{Claim, Place, Stack, claimed_addresses, comments, withdraw};
use crate::wiring::elements::staleness;
use crate::wiring::masquerade::Backend;
use crate::wiring::nftables::Nftables;
use crate::wiring::owner::{Owner, prefix_of, prefix_of_instance};
use crate::wiring::transaction::{self, atomically};
use ipnet::IpNet;
use netloom_kernel::Result;
use netloom_kernel::nft::{Batch, Key, Socket};
use netloom_plugin as plugin;
use netloom_plugin::host::ClaimedAddress;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// With more ports than this, reading whole maps is faster than asking for each.
const MOST_LOOKUPS: usize = 4096;

/// Removes the owner's elements, and the rules that upstream made for the container. By their keys;
/// where the record of them says that those do not lead to all, by reading the maps. Returns what was mapped,
/// as far as the keys told.
pub(in super::super) fn remove(
    nftables: &Nftables,
    owner: Owner<'_>,
    hints: &RemovalHints<'_>,
) -> std::result::Result<Vec<Mapped>, SetupError> {
    let mut mapped = Vec::new();
    let remove = |socket: &Socket| {
        atomically(socket, |socket, batch| {
            mapped.clear();
            for version in IpVersion::BOTH {
                if socket.get_table(version.table())?.is_some() {
                    mapped.extend(remove_version(socket, batch, owner, hints, version)?);
                }
            }
            Ok(())
        })
    };
    nftables.with(remove).map_err(SetupError::kernel(
        "failed to remove nftables' port mappings",
    ))?;
    Ok(mapped)
}

fn remove_version(
    socket: &Socket,
    batch: &mut Batch<'_>,
    owner: Owner<'_>,
    hints: &RemovalHints<'_>,
    version: IpVersion,
) -> Result<Vec<Mapped>> {
    for (chain, handle) in upstream_rules(socket, version, owner.container_id)? {
        batch.delete_rule(version.table(), chain, handle);
    }
    let Some(record) = find_record(socket, owner, hints, version)? else {
        return Ok(Vec::new());
    };
    let own = match hints.plan {
        Some(plan) => by_plan(socket, owner, &record, plan, &hints.pod, version)?,
        None => None,
    };
    let prefix = record.prefix();
    let is_own = |comment: &str| comment.starts_with(prefix);
    if let Some(own) = own {
        for (set, key, stack) in own.claims {
            let (table, set, key) = (version.table(), set.as_str(), &key);
            Place { table, set, key }.leave(batch, &stack, is_own);
        }
        return Ok(own.mapped);
    }
    let mut mapped = Vec::new();
    for set in all_sets(socket, version)? {
        let withdrawn = withdraw(socket, batch, version.table(), &set, |_, comment| {
            is_own(comment)
        })?;
        let of_ports = withdrawn.gone.iter();
        mapped.extend(of_ports.filter_map(|(key, claim)| read_back(key, claim, version)));
    }
    Ok(mapped)
}

/// The owner's record; where there is none, that of its interface on a network that was called
/// otherwise at ADD.
fn find_record(
    socket: &Socket,
    owner: Owner<'_>,
    hints: &RemovalHints<'_>,
    version: IpVersion,
) -> Result<Option<Record>> {
    if let Some(record) = Record::find(socket, version, &owner.nft_prefix())? {
        return Ok(Some(record));
    }
    if let Some(record) = Record::find_by_index(socket, version, owner)? {
        return Ok(Some(record));
    }
    // Commit 17b6fbc made no index.
    let (Some(plan), instance) = (hints.plan, owner.nft_instance()) else {
        return Ok(None);
    };
    let scope = Scope::common();
    let first = PortKey::all(version, &scope, &plan.mappings).next();
    let Some(first) = first else {
        return Ok(None);
    };
    let (table, set, key) = (version.table(), first.map.as_str(), &first.key);
    let stack = Place { table, set, key }.read(socket)?;
    let own = stack.claim(|comment| prefix_of_instance(comment, &instance).is_some());
    match own.and_then(|claim| claim.comment.as_deref()) {
        Some(comment) => Record::find(socket, version, prefix_of(comment)),
        None => Ok(None),
    }
}

/// Everything of an attachment by its keys, if the record says that the plan leads to all of it.
fn by_plan<'s>(
    socket: &'s Socket,
    owner: Owner<'_>,
    record: &'s Record,
    plan: &Plan,
    pod: &Pod,
    version: IpVersion,
) -> Result<Option<FoundElements<'s>>> {
    let mut own = FoundElements::new(socket, version, record.prefix());
    let of_iptables = loopback::ports(plan);
    if version.v6 && record.is(&loopback::digest(plan, &of_iptables)) {
        own.add_records(owner)?;
        own.add_loopbacks(&of_iptables)?;
        return Ok(Some(own));
    }
    let Ok(scope) = Scope::new(owner.network, plan.conditions(version.v6)) else {
        return Ok(None);
    };
    let ports: Vec<_> = PortKey::all(version, &scope, &plan.mappings).collect();
    let digest = Digest::of(Backend::Nftables, plan.masquerade, &ports);
    if ports.len() > MOST_LOOKUPS || !record.is(&digest) {
        return Ok(None);
    }
    own.add_records(owner)?;
    own.add_ports(&ports, plan.masquerade, pod)?;
    // What 17b6fbc did may have taken a port, and with it what told of the pod.
    let is_all = own.mapped.len() == ports.len();
    Ok(is_all.then_some(own))
}

/// Withdraws what an earlier ADD of the owner made and these entries are not.
pub(super) fn outdated(socket: &Socket, batch: &mut Batch<'_>, entries: &[Entry]) -> Result<()> {
    for record in entries.iter().filter(|entry| entry.is_record()) {
        let version = record.version;
        let found = socket.get_element(version.table(), &record.set, &record.key)?;
        let Some(found) = found.filter(|found| record.owns(found.comment.as_deref())) else {
            continue;
        };
        if record.is_just(&found) {
            continue;
        }
        let wanted: BTreeSet<_> = entries
            .iter()
            .filter(|entry| entry.version == version)
            .map(Entry::place)
            .collect();
        for set in all_sets(socket, version)? {
            let is_outdated = |key: &[u8], comment: &str| {
                record.owns(Some(comment)) && !wanted.contains(&(set.as_str(), key))
            };
            withdraw(socket, batch, version.table(), &set, is_outdated)?;
        }
    }
    Ok(())
}

/// What of an attachment is found by its keys.
struct FoundElements<'s> {
    socket: &'s Socket,
    version: IpVersion,
    prefix: &'s str,
    /// Each with its set and its key.
    claims: Vec<(String, Key, Stack)>,
    mapped: Vec<Mapped>,
}

impl<'s> FoundElements<'s> {
    fn new(socket: &'s Socket, version: IpVersion, prefix: &'s str) -> Self {
        Self {
            socket,
            version,
            prefix,
            claims: Vec::new(),
            mapped: Vec::new(),
        }
    }

    /// Looks for the owner's claim on a key.
    fn add(&mut self, set: &str, key: Key) -> Result<Option<Claim>> {
        let place = Place {
            table: self.version.table(),
            set,
            key: &key,
        };
        let stack = place.read(self.socket)?;
        let claim = stack
            .claim(|comment| comment.starts_with(self.prefix))
            .cloned();
        if claim.is_some() {
            self.claims.push((set.to_owned(), key, stack));
        }
        Ok(claim)
    }

    fn add_records(&mut self, owner: Owner<'_>) -> Result<()> {
        self.add(ATTACHMENTS, record::key(self.prefix))?;
        self.add(ATTACHMENTS, record::index_key(&owner.nft_instance()))?;
        Ok(())
    }

    fn add_loopbacks(&mut self, ports: &[PortKey]) -> Result<()> {
        for (map, key) in ports.iter().filter_map(|port| port.loopback.clone()) {
            self.add(map, key)?;
        }
        Ok(())
    }

    fn add_ports(&mut self, keys: &[PortKey], masquerade: Masquerade, pod: &Pod) -> Result<()> {
        let version = self.version;
        let of_half = pod
            .nets()
            .filter(|net| IpVersion::of(net.addr()) == version);
        let mut pods: Vec<IpNet> = of_half.collect();
        for port in keys {
            let claim = self.add(&port.map, port.key.clone())?;
            if let Some((pod, container_port)) = claim.and_then(|claim| target(&claim, version)) {
                if pods.iter().all(|net| net.addr() != pod) {
                    pods.push(pod.into());
                }
                self.mapped.push(Mapped {
                    protocol: port.protocol,
                    host_ip: port.host_ip,
                    host_port: port.host_port,
                    pod,
                    container_port,
                });
            }
        }
        self.add_loopbacks(keys)?;
        for net in pods {
            self.add_masquerade(net, masquerade)?;
        }
        Ok(())
    }

    fn add_masquerade(&mut self, net: IpNet, masquerade: Masquerade) -> Result<()> {
        let (version, likely) = (self.version, subnet_key(net, masquerade));
        if !version.v6 {
            self.add(PODS, Key::new().ip(net.addr()))?;
        }
        // Without prevResult, nothing tells the length of the prefix.
        let others = (0..=version.bits()).filter_map(|length| {
            let net = IpNet::new(net.addr(), length).ok()?;
            Some((length, Key::new().ip(net.trunc().addr()).ip(net.addr())))
        });
        for (length, key) in likely.into_iter().chain(others) {
            let found = self.add(&subnets(length), key)?.is_some();
            if found || masquerade == Masquerade::Nobody {
                break;
            }
        }
        Ok(())
    }
}

/// The pod and its port that an element of a map of ports leads to.
fn target(claim: &Claim, version: IpVersion) -> Option<(IpAddr, u16)> {
    let value = claim.value.as_deref()?;
    let (ip, port) = value.split_at_checked(usize::from(version.bits() / 8))?;
    let port = u16::from_be_bytes(*port.first_chunk()?);
    Some((address(ip)?, port))
}

/// A mapping, from an element of a map of ports.
fn read_back(key: &[u8], claim: &Claim, version: IpVersion) -> Option<Mapped> {
    let (pod, container_port) = target(claim, version)?;
    let at = key.len().checked_sub(8)?;
    let (ip, rest) = key.split_at_checked(at)?;
    let protocol = Transport::of_number(*rest.first()?)?;
    Some(Mapped {
        protocol,
        host_ip: address(ip),
        host_port: u16::from_be_bytes(*rest.get(4..)?.first_chunk()?),
        pod,
        container_port,
    })
}

/// Every set in which attachments have something.
fn all_sets(socket: &Socket, version: IpVersion) -> Result<Vec<String>> {
    let sets = socket.list_sets(version.table())?.into_iter();
    let names = sets.map(|set| set.name);
    Ok(names
        .filter(|name| layout::is_of_attachments(name))
        .collect())
}

/// GC: the network's elements that belong to no valid attachment, by whose they are. Its conditions that
/// nothing is mapped under any more go too. Upstream's rules do not tell their network, so they stay.
pub(in super::super) fn sweep(
    scope: &plugin::Scope<'_>,
    how: plugin::Sweep<'_>,
) -> std::result::Result<Vec<plugin::Found>, plugin::Error> {
    let network = scope.network.as_str();
    let is_stale = staleness(network, scope.valid);
    transaction::sweep(how, "port mappings of nftables", |socket, batch| {
        let mut owners = BTreeMap::new();
        for version in IpVersion::BOTH {
            if socket.get_table(version.table())?.is_none() {
                continue;
            }
            for set in all_sets(socket, version)? {
                let is_stale = |_: &[u8], comment: &str| is_stale(comment);
                let withdrawn = withdraw(socket, batch, version.table(), &set, is_stale)?;
                // One for each owner, if possible without a digest in it.
                for comment in withdrawn.comments() {
                    let owner = prefix_of(&comment).to_owned();
                    if record::is_of_another(&comment) || !owners.contains_key(&owner) {
                        owners.insert(owner, comment);
                    }
                }
            }
            for scope in layout::scopes(socket, version)? {
                if scope.is_of(network) && is_idle(socket, version, &scope, &is_stale)? {
                    layout::delete_scope(socket, batch, version, &scope)?;
                }
            }
        }
        Ok(owners.into_values().collect())
    })
}

/// To whose addresses the network's ports lead.
pub(in super::super) fn claims(
    network: &str,
) -> std::result::Result<Vec<ClaimedAddress>, SetupError> {
    let find = || {
        let (socket, mut found) = (Socket::open()?, Vec::new());
        for version in IpVersion::BOTH {
            if socket.get_table(version.table())?.is_none() {
                continue;
            }
            let sets = all_sets(&socket, version)?;
            for map in sets.iter().filter(|set| layout::is_map_of_ports(set)) {
                found.extend(claimed_addresses(&socket, version.table(), map, network)?);
            }
        }
        Ok(found)
    };
    find().map_err(SetupError::kernel("failed to read nftables' port mappings"))
}

/// Whether nothing is in a scope but what is stale.
fn is_idle(
    socket: &Socket,
    version: IpVersion,
    scope: &Scope,
    is_stale: impl Fn(&str) -> bool,
) -> Result<bool> {
    for map in [scope.ports(), scope.hostip_ports()] {
        let owners = comments(socket, version.table(), map)?;
        if !owners.iter().all(|owner| is_stale(owner)) {
            return Ok(false);
        }
    }
    Ok(true)
}
