//! DEL and GC: an attachment's elements, found by their keys or, where those are not known, by
//! whose they are.

use super::entry::{PortKey, is_for_iptables, subnet_key};
use super::layout::{self, Half, LOOPBACK, PODS, subnets};
use super::scope::Scope;
use super::{Known, Mapped, upstream_rules};
use crate::chained::portmap::mapping::Transport;
use crate::chained::portmap::plan::Masquerade;
use crate::wiring::Fault;
use crate::wiring::elements::{has_prefix, staleness};
use crate::wiring::nftables::Nftables;
use crate::wiring::owner::Owner;
use crate::wiring::transaction::atomically;
use ipnet::IpNet;
use netloom_kernel::Result;
use netloom_kernel::nft::{Batch, Element, ElementInfo, Key, Socket};
use netloom_spec::Attachment;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// With more ports than this, reading whole maps is faster than asking for each.
const MOST_LOOKUPS: usize = 4096;

/// Removes the owner's elements, and the rules that upstream made for the container. By their keys;
/// where those are not known, or do not lead to all, by reading the maps. Returns what was mapped,
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
    let table = half.table();
    for (chain, handle) in upstream_rules(socket, half, owner.container_id)? {
        batch.delete_rule(&table, chain, handle);
    }
    let keys = known.plan.and_then(|plan| {
        let scope = Scope::new(owner.network, plan.conditions(half.v6)).ok()?;
        let ports: Vec<_> = PortKey::all(half, &scope, &plan.mappings)
            .take(MOST_LOOKUPS + 1)
            .collect();
        (ports.len() <= MOST_LOOKUPS).then_some(ports)
    });
    if let Some(keys) = keys {
        let own = by_keys(socket, &prefix, &keys, known, half)?;
        let all = own.mapped.len() == keys.len();
        if all || own.elements.is_empty() && !own.taken {
            for (set, element) in own.elements.into_iter().chain(own.for_iptables) {
                batch.delete_elements(&table, &set, &[element]);
            }
            return Ok(own.mapped);
        }
    }
    let all = sweep(socket, half, |found| {
        has_prefix(found.comment.as_deref(), &prefix)
    })?;
    let mapped = all.iter().filter_map(|(_, found)| read_back(found, half));
    let mapped = mapped.collect();
    delete(batch, half, all);
    Ok(mapped)
}

/// What of an attachment was found by its keys.
#[derive(Debug, Default)]
struct Own {
    /// Each with the name of its set.
    elements: Vec<(String, Element)>,
    /// The same for ports that iptables maps.
    for_iptables: Vec<(String, Element)>,
    mapped: Vec<Mapped>,
    /// A port is another owner's now.
    taken: bool,
}

/// Looks the owner's elements up by their keys.
fn by_keys(
    socket: &Socket,
    prefix: &str,
    keys: &[PortKey],
    known: &Known<'_>,
    half: Half,
) -> Result<Own> {
    let table = half.table();
    let mut own = Own::default();
    let get = |set: &str, key: &Key| -> Result<Option<ElementInfo>> {
        let found = socket.get_element(&table, set, key)?;
        Ok(found.filter(|found| has_prefix(found.comment.as_deref(), prefix)))
    };
    let of_half = known.pod.nets().filter(|net| Half::of(net.addr()) == half);
    let mut pods: Vec<IpNet> = of_half.collect();
    for port in keys {
        if let Some(element) = socket.get_element(&table, &port.map, &port.key)? {
            if !has_prefix(element.comment.as_deref(), prefix) {
                own.taken = true;
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
        if let Some(key) = &port.loopback
            && let Some(found) = get(LOOPBACK, key)?
        {
            let elements = match is_for_iptables(&found) {
                true => &mut own.for_iptables,
                false => &mut own.elements,
            };
            elements.push((LOOPBACK.to_owned(), Element::new(key.clone())));
        }
    }
    let masquerade = known.plan.map(|plan| plan.masquerade);
    for net in pods {
        let key = Key::new().ip(net.addr());
        if !half.v6 && get(PODS, &key)?.is_some() {
            own.elements.push((PODS.to_owned(), Element::new(key)));
        }
        let likely = masquerade.and_then(|masquerade| subnet_key(net, masquerade));
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
            if masquerade == Some(Masquerade::Nobody) {
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
    sets.push(if half.v6 { LOOPBACK } else { PODS }.to_owned());
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
        let mut owners = BTreeSet::new();
        for half in Half::BOTH {
            if socket.get_table(&half.table())?.is_some() {
                let found = sweep(&socket, half, &is_stale)?;
                owners.extend(found.into_iter().filter_map(|(_, element)| element.comment));
            }
        }
        Ok(owners.into_iter().collect())
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
