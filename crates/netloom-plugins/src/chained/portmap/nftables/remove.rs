//! DEL and GC: an attachment's elements, found by their keys or, where those are not known, by
//! whose they are.

use super::entry::{Entry, PortKey, subnet_key};
use super::layout::{self, ATTACHMENTS, Half, LOOPBACKS, PODS, subnets};
use super::record::{self, Digest, Record};
use super::scope::Scope;
use super::{Known, Mapped, loopback, upstream_rules};
use crate::chained::portmap::mapping::Transport;
use crate::chained::portmap::plan::{Masquerade, Plan, Pod};
use crate::wiring::Fault;
use crate::wiring::elements::{has_prefix, staleness};
use crate::wiring::masquerade::Backend;
use crate::wiring::nftables::Nftables;
use crate::wiring::owner::Owner;
use crate::wiring::transaction::atomically;
use ipnet::IpNet;
use netloom_kernel::Result;
use netloom_kernel::nft::{Batch, Element, ElementInfo, Key, Socket};
use netloom_spec::Attachment;
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
    known: &Known<'_>,
) -> std::result::Result<Vec<Mapped>, Fault> {
    let mut mapped = Vec::new();
    let remove = |socket: &Socket| {
        atomically(socket, |socket, batch| {
            mapped.clear();
            for half in Half::BOTH {
                if socket.get_table(&half.table())?.is_some() {
                    mapped.extend(remove_half(socket, batch, owner, known, half)?);
                }
            }
            Ok(())
        })
    };
    nftables
        .with(remove)
        .map_err(Fault::kernel("failed to remove nftables' port mappings"))?;
    Ok(mapped)
}

fn remove_half(
    socket: &Socket,
    batch: &mut Batch<'_>,
    owner: Owner<'_>,
    known: &Known<'_>,
    half: Half,
) -> Result<Vec<Mapped>> {
    let prefix = owner.nft_prefix();
    for (chain, handle) in upstream_rules(socket, half, owner.container_id)? {
        batch.delete_rule(&half.table(), chain, handle);
    }
    let Some(record) = Record::find(socket, half, owner)? else {
        return Ok(Vec::new());
    };
    let own = match known.plan {
        Some(plan) => by_plan(socket, owner, &record, plan, &known.pod, half)?,
        None => None,
    };
    if let Some(own) = own {
        let record = Element::new(record::key(owner));
        batch.delete_elements(&half.table(), ATTACHMENTS, &[record]);
        for (set, element) in own.elements {
            batch.delete_elements(&half.table(), &set, &[element]);
        }
        return Ok(own.mapped);
    }
    let all = sweep(socket, half, |found| {
        has_prefix(found.comment.as_deref(), &prefix)
    })?;
    let mapped = all.iter().filter_map(|(_, found)| read_back(found, half));
    let mapped = mapped.collect();
    delete(batch, half, all);
    Ok(mapped)
}

/// Everything of an attachment by its keys, if the record says that the plan leads to all of it.
fn by_plan(
    socket: &Socket,
    owner: Owner<'_>,
    record: &Record,
    plan: &Plan,
    pod: &Pod,
    half: Half,
) -> Result<Option<Own>> {
    let prefix = owner.nft_prefix();
    let of_iptables = loopback::ports(plan);
    if half.v6 && record.is(&loopback::digest(plan, &of_iptables)) {
        let mut own = Own::default();
        own.add_loopbacks(socket, &prefix, &of_iptables)?;
        return Ok(Some(own));
    }
    let Ok(scope) = Scope::new(owner.network, plan.conditions(half.v6)) else {
        return Ok(None);
    };
    let ports: Vec<_> = PortKey::all(half, &scope, &plan.mappings).collect();
    let digest = Digest::of(Backend::Nftables, plan.masquerade, &ports);
    if ports.len() > MOST_LOOKUPS || !record.is(&digest) {
        return Ok(None);
    }
    let own = by_keys(socket, &prefix, &ports, plan.masquerade, pod, half)?;
    // Another owner may have taken a port, and with it what told of the pod.
    let is_all = own.mapped.len() == ports.len();
    Ok(is_all.then_some(own))
}

/// Deletes what an earlier ADD of the owner made and these entries are not.
pub(super) fn outdated(socket: &Socket, batch: &mut Batch<'_>, entries: &[Entry]) -> Result<()> {
    for record in entries.iter().filter(|entry| entry.is_record()) {
        let half = record.half;
        let found = socket.get_element(&half.table(), &record.set, &record.key)?;
        let Some(found) = found.filter(|found| record.owns(found)) else {
            continue;
        };
        if record.is_just(&found) {
            continue;
        }
        let wanted: BTreeSet<_> = entries
            .iter()
            .filter(|entry| entry.half == half)
            .map(Entry::place)
            .collect();
        let mut others = sweep(socket, half, |found| record.owns(found))?;
        others.retain(|(set, found)| !wanted.contains(&(set.as_str(), found.key.as_slice())));
        delete(batch, half, others);
    }
    Ok(())
}

/// What of an attachment was found by its keys.
#[derive(Debug, Default)]
struct Own {
    /// Each with the name of its set.
    elements: Vec<(String, Element)>,
    mapped: Vec<Mapped>,
}

impl Own {
    fn add_loopbacks(&mut self, socket: &Socket, prefix: &str, ports: &[PortKey]) -> Result<()> {
        for (map, key) in ports.iter().filter_map(|port| port.loopback.as_ref()) {
            let found = socket.get_element(&Half { v6: true }.table(), map, key)?;
            if found.is_some_and(|found| has_prefix(found.comment.as_deref(), prefix)) {
                let element = Element::new(key.clone());
                self.elements.push(((*map).to_owned(), element));
            }
        }
        Ok(())
    }
}

/// Looks the owner's elements up by their keys.
fn by_keys(
    socket: &Socket,
    prefix: &str,
    keys: &[PortKey],
    masquerade: Masquerade,
    pod: &Pod,
    half: Half,
) -> Result<Own> {
    let table = half.table();
    let mut own = Own::default();
    let get = |set: &str, key: &Key| -> Result<Option<ElementInfo>> {
        let found = socket.get_element(&table, set, key)?;
        Ok(found.filter(|found| has_prefix(found.comment.as_deref(), prefix)))
    };
    let of_half = pod.nets().filter(|net| Half::of(net.addr()) == half);
    let mut pods: Vec<IpNet> = of_half.collect();
    for port in keys {
        if let Some(element) = socket.get_element(&table, &port.map, &port.key)? {
            if !has_prefix(element.comment.as_deref(), prefix) {
                continue;
            }
            own.elements
                .push((port.map.clone(), Element::new(port.key.clone())));
            if let Some((pod, container_port)) = target(&element, half) {
                if pods.iter().all(|net| net.addr() != pod) {
                    pods.push(pod.into());
                }
                own.mapped.push(Mapped {
                    protocol: port.protocol,
                    host_ip: port.host_ip,
                    host_port: port.host_port,
                    pod,
                    container_port,
                });
            }
        }
    }
    own.add_loopbacks(socket, prefix, keys)?;
    for net in pods {
        let key = Key::new().ip(net.addr());
        if !half.v6 && get(PODS, &key)?.is_some() {
            own.elements.push((PODS.to_owned(), Element::new(key)));
        }
        let likely = subnet_key(net, masquerade);
        // Without prevResult, nothing tells the length of the prefix.
        let others = (0..=half.bits()).filter_map(|length| {
            let net = IpNet::new(net.addr(), length).ok()?;
            Some((length, Key::new().ip(net.trunc().addr()).ip(net.addr())))
        });
        for (length, key) in likely.into_iter().chain(others) {
            let set = subnets(length);
            if get(&set, &key)?.is_some() {
                own.elements.push((set, Element::new(key)));
                break;
            }
            if masquerade == Masquerade::Nobody {
                break;
            }
        }
    }
    Ok(own)
}

/// The pod and its port that an element of a map leads to.
fn target(found: &ElementInfo, half: Half) -> Option<(IpAddr, u16)> {
    let value = found.value.as_deref()?;
    let (ip, port) = value.split_at_checked(usize::from(half.bits() / 8))?;
    let port = u16::from_be_bytes(*port.first_chunk()?);
    Some((address(ip)?, port))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(<[u8; 4]>::try_from(bytes).ok()?.into()),
        16 => Some(<[u8; 16]>::try_from(bytes).ok()?.into()),
        _ => None,
    }
}

/// A mapping, from an element of a map of ports.
fn read_back(found: &ElementInfo, half: Half) -> Option<Mapped> {
    let (pod, container_port) = target(found, half)?;
    let at = found.key.len().checked_sub(8)?;
    let (ip, rest) = found.key.split_at_checked(at)?;
    let protocol = Transport::of_number(*rest.first()?)?;
    Some(Mapped {
        protocol,
        host_ip: address(ip),
        host_port: u16::from_be_bytes(*rest.get(4..)?.first_chunk()?),
        pod,
        container_port,
    })
}

/// All elements of all sets that are wanted, each with the name of its set.
fn sweep(
    socket: &Socket,
    half: Half,
    wanted: impl Fn(&ElementInfo) -> bool,
) -> Result<Vec<(String, ElementInfo)>> {
    let common = Scope::common();
    let mut sets = vec![common.ports().to_owned(), common.hostip_ports().to_owned()];
    for scope in layout::scopes(socket, half)? {
        sets.extend([scope.ports().to_owned(), scope.hostip_ports().to_owned()]);
    }
    match half.v6 {
        true => sets.extend(LOOPBACKS.map(str::to_owned)),
        false => sets.push(PODS.to_owned()),
    }
    sets.push(ATTACHMENTS.to_owned());
    sets.extend((0..=half.bits()).map(subnets));
    let mut all = Vec::new();
    for set in sets {
        let elements = socket.list_elements(&half.table(), &set)?;
        let own = elements.into_iter().filter(|found| wanted(found));
        all.extend(own.map(|found| (set.clone(), found)));
    }
    Ok(all)
}

fn delete(batch: &mut Batch<'_>, half: Half, all: Vec<(String, ElementInfo)>) {
    let mut groups: Vec<(String, Vec<Element>)> = Vec::new();
    for (set, found) in all {
        let element = Element::new(Key::of_bytes(&found.key));
        match groups.last_mut().filter(|(last, _)| *last == set) {
            Some((_, elements)) => elements.push(element),
            None => groups.push((set, vec![element])),
        }
    }
    for (set, elements) in groups {
        batch.delete_elements(&half.table(), &set, &elements);
    }
}

/// GC: removes the network's elements that belong to no valid attachment, and its conditions that
/// nothing is mapped under any more. Upstream's rules do not tell their network, so they stay.
pub(in super::super) fn collect(
    network: &str,
    valid: &[Attachment],
) -> std::result::Result<(), Fault> {
    let is_stale = stale_element(network, valid);
    let collect = |socket: &Socket| {
        atomically(socket, |socket, batch| {
            for half in Half::BOTH {
                if socket.get_table(&half.table())?.is_none() {
                    continue;
                }
                delete(batch, half, sweep(socket, half, &is_stale)?);
                for scope in layout::scopes(socket, half)? {
                    if scope.is_of(network) && is_idle(socket, half, &scope, &is_stale)? {
                        layout::delete_scope(socket, batch, half, &scope)?;
                    }
                }
            }
            Ok(())
        })
    };
    Nftables::open()?
        .with(collect)
        .map_err(Fault::kernel("failed to collect stale port mappings"))
}

/// Whether an element of the network belongs to no valid attachment.
fn stale_element(network: &str, valid: &[Attachment]) -> impl Fn(&ElementInfo) -> bool {
    let is_stale = staleness(network, valid);
    move |found| found.comment.as_deref().is_some_and(&is_stale)
}

/// Whose elements [`collect`] would remove, by their comments.
pub(in super::super) fn stale(
    network: &str,
    valid: &[Attachment],
) -> std::result::Result<Vec<String>, Fault> {
    let is_stale = stale_element(network, valid);
    let find = || {
        let socket = Socket::open()?;
        let mut owners = BTreeMap::new();
        for half in Half::BOTH {
            if socket.get_table(&half.table())?.is_some() {
                let found = sweep(&socket, half, &is_stale)?;
                let comments = found.into_iter().filter_map(|(_, element)| element.comment);
                // One for each owner, if possible without a digest in it.
                for comment in comments {
                    let owner = record::owner_of(&comment);
                    if record::is_of_another(&comment) || !owners.contains_key(&owner) {
                        owners.insert(owner, comment);
                    }
                }
            }
        }
        Ok(owners.into_values().collect())
    };
    find().map_err(Fault::kernel("failed to read nftables' port mappings"))
}

/// Whether nothing is in a scope but what is stale.
fn is_idle(
    socket: &Socket,
    half: Half,
    scope: &Scope,
    is_stale: impl Fn(&ElementInfo) -> bool,
) -> Result<bool> {
    for map in [scope.ports(), scope.hostip_ports()] {
        if !socket
            .list_elements(&half.table(), map)?
            .iter()
            .all(&is_stale)
        {
            return Ok(false);
        }
    }
    Ok(true)
}
