//! Port mappings by nf_tables, over netlink.
//!
//! The table is upstream's. Upstream adds a rule for each mapping to its chains; here chains that
//! never change look packets up in maps, once for any number of mappings:
//!
//! ```text
//! table ip cni_hostport {
//!   map ports { type inet_proto . inet_service : ipv4_addr . inet_service; … }
//!   map hostip_ports { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; … }
//!   set attachments { type ifname . ifname; … }       # whose ports those are: a digest of them
//!   set subnets24 { type ipv4_addr . ipv4_addr; … }   # a pod's subnet, and the pod
//!   chain prerouting_maps { type nat hook prerouting priority dstnat + 1; fib daddr type local jump lookup }
//!   chain lookup { dnat ip to ip daddr . meta l4proto . th dport map @hostip_ports; … @ports }
//!   chain masquerading_maps { … ct status dnat ip saddr & 255.255.255.0 . ip daddr @subnets24 masquerade }
//! }
//! ```
//!
//! An attachment owns its elements and nothing else. The comment of an element tells whose it is, so
//! that a port or an address which went on to another pod is not taken from it; `claims` tells how
//! the one who had it before gets it back. One element is the
//! record of all: where that is missing, nothing was mapped, and DEL reads no further.
//!
//! The maps hold data and not verdicts: for a verdict the kernel would walk through all of them at
//! every change.
//!
//! Base chains are ours alone, because upstream empties its own at every ADD.

mod entry;
mod layout;
mod loopback;
mod port_key;
mod record;
mod remove;
mod scope;

use super::mapping::{Mapping, Transport};
use super::plan::{Plan, Pod};
use crate::wiring::SetupError;
use crate::wiring::check::mismatch;
use crate::wiring::elements;
use crate::wiring::foretell;
use crate::wiring::owner::{Owner, named_by};
use crate::wiring::transaction::atomically;
use entry::{Entry, Maker, subnet_key};
use layout::{IpVersion, UPSTREAM_CHAINS};
pub(super) use loopback::Loopback;
use netloom_kernel::Result;
use netloom_kernel::nft::{Batch, Element, Socket};
use netloom_plugin::forecast::Forecast;
use netloom_spec::Error;
use port_key::PortKey;
pub(super) use remove::{claims, remove, sweep};
use scope::Scope;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

/// What is to be mapped for one attachment, ready to be made.
#[derive(Debug)]
pub(super) struct Request {
    entries: Vec<Entry>,
    /// For each version: the scope, and the length of the prefix for the masquerade.
    versions: Vec<(IpVersion, Scope, Option<u8>)>,
}

impl Request {
    /// Nothing is touched. `loopback_source` is the address by which `::1` can reach the pod.
    pub(super) fn new(
        owner: Owner<'_>,
        plan: &Plan,
        pod: &Pod,
        loopback_source: Option<Ipv6Addr>,
    ) -> std::result::Result<Self, Error> {
        let maker = Maker::new(owner);
        let (mut entries, mut versions) = (Vec::new(), Vec::new());
        for net in pod.nets() {
            let version = IpVersion::of(net.addr());
            let scope = Scope::new(owner.network, plan.conditions(version.v6))?;
            let ports: Vec<_> = PortKey::all(version, &scope, &plan.mappings).collect();
            let own = maker.entries(net, &ports, plan.masquerade, loopback_source);
            if own.is_empty() {
                continue;
            }
            entries.extend(distinct(own));
            let length = subnet_key(net, plan.masquerade).map(|(length, _)| length);
            versions.push((version, scope, length));
        }
        Ok(Self { entries, versions })
    }

    /// Adds the elements. Usually all else is there, and that is one small transaction.
    pub(super) fn create(&self) -> std::result::Result<(), SetupError> {
        let create = || {
            let socket = Socket::open()?;
            let complete = |socket: &Socket, batch: &mut Batch<'_>| self.complete(socket, batch);
            match self.versions.iter().all(|(_, scope, _)| scope.is_common()) {
                true => {
                    elements::create(&socket, |batch| add(batch, self.entries.iter()), complete)
                }
                false => atomically(&socket, complete),
            }
        };
        create().map_err(SetupError::kernel("failed to map ports by nftables"))
    }

    /// Adds whatever is missing, from the table to the elements. A port that belonged to another
    /// owner is this one's until it leaves: the last ADD wins, as in the reference.
    fn complete(&self, socket: &Socket, batch: &mut Batch<'_>) -> Result<()> {
        for (version, scope, length) in &self.versions {
            layout::complete(socket, batch, *version, scope, *length)?;
        }
        take(socket, batch, &self.entries)
    }

    /// The first thing that is not as ADD made it, in words.
    pub(super) fn check(&self, container_id: &str) -> std::result::Result<(), SetupError> {
        let missing = || {
            let socket = Socket::open()?;
            for (version, scope, length) in &self.versions {
                if let Some(text) = self.missing_in(&socket, *version, scope, *length)?
                    && upstream_rules(&socket, *version, container_id)?.is_empty()
                {
                    return Ok(Some(text));
                }
            }
            Ok(None)
        };
        let missing: Result<Option<String>> = missing();
        match missing.map_err(SetupError::kernel("failed to read nftables' port mappings"))? {
            Some(text) => Err(mismatch(text)),
            None => Ok(()),
        }
    }

    fn missing_in(
        &self,
        socket: &Socket,
        version: IpVersion,
        scope: &Scope,
        length: Option<u8>,
    ) -> Result<Option<String>> {
        let table = version.table();
        let name = format!("{} {}", table.family().name(), table.name());
        let of_half = |entry: &&Entry| entry.version == version && !entry.is_index();
        for entry in self.entries.iter().filter(of_half) {
            if let Some(text) = missing(socket, entry)? {
                return Ok(Some(format!(
                    "missing hostport rules: {text} in \"{name} {}\"",
                    entry.set
                )));
            }
        }
        if let Some(chain) = layout::missing(socket, version)? {
            return Ok(Some(format!(
                "missing hostport rules in {chain:?} chain of \"{name}\""
            )));
        }
        if !scope.is_common() && socket.list_rules(table, scope.chain())?.is_empty() {
            let chain = scope.chain();
            return Ok(Some(format!(
                "missing hostport rules in {chain:?} chain of \"{name}\""
            )));
        }
        if let Some(length) = length
            && !layout::masquerades(socket, version, length)?
        {
            return Ok(Some(format!(
                "missing hostport rules in \"{}\" chain of \"{name}\": the masquerade of subnets \
                 of length {length}",
                layout::MASQUERADING
            )));
        }
        Ok(None)
    }
}

/// Those of one place once: two mappings of a port may meet there.
fn distinct(mut entries: Vec<Entry>) -> Vec<Entry> {
    let mut places = BTreeSet::new();
    entries.retain(|entry| {
        let (set, key) = entry.place();
        places.insert((set.to_owned(), key.to_owned()))
    });
    entries
}

/// Claims what the entries want, also over other owners, and withdraws what an earlier ADD of the
/// owner claimed and is no more wanted.
fn take(socket: &Socket, batch: &mut Batch<'_>, entries: &[Entry]) -> Result<()> {
    remove::outdated(socket, batch, entries)?;
    for entry in entries {
        entry.take(socket, batch)?;
    }
    Ok(())
}

/// What is not as the entry wants it, in words.
fn missing(socket: &Socket, entry: &Entry) -> Result<Option<String>> {
    let stack = entry.claims().read(socket)?;
    let Some(newest) = stack.newest() else {
        return Ok(Some(format!("{} not found", entry.what)));
    };
    let comment = newest.comment.as_deref();
    Ok(match comment {
        _ if entry.is(newest) => None,
        _ if entry.owns(comment) => Some(format!("{} leads to somewhere else", entry.what)),
        _ => {
            let by = named_by(comment.unwrap_or_default());
            let waits = stack.claim(|comment| entry.owns(Some(comment))).is_some();
            let word = if waits {
                "is shadowed by"
            } else {
                "belongs to"
            };
            Some(format!("{} {word} {by}", entry.what))
        }
    })
}

fn add<'e>(batch: &mut Batch<'_>, entries: impl Iterator<Item = &'e Entry>) {
    let mut groups: Vec<(IpVersion, &str, Vec<Element>)> = Vec::new();
    for entry in entries {
        let same = groups
            .iter_mut()
            .find(|(version, set, _)| *version == entry.version && *set == entry.set);
        match same {
            Some((.., elements)) => elements.push(entry.element()),
            None => groups.push((entry.version, &entry.set, vec![entry.element()])),
        }
    }
    for (version, set, elements) in groups {
        batch.create_elements(version.table(), set, &elements);
    }
}

/// One port that was mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mapped {
    pub(super) protocol: Transport,
    /// `None` for any address of the host.
    pub(super) host_ip: Option<IpAddr>,
    pub(super) host_port: u16,
    pub(super) pod: IpAddr,
    pub(super) container_port: u16,
}

/// What DEL knows of an attachment besides its name.
#[derive(Debug)]
pub(super) struct RemovalHints<'a> {
    /// `None` when the configuration does not tell, or is not to be trusted.
    pub(super) plan: Option<&'a Plan>,
    pub(super) pod: Pod,
}

/// The rules that upstream made for a container: chain and handle.
fn upstream_rules(
    socket: &Socket,
    version: IpVersion,
    container_id: &str,
) -> Result<Vec<(&'static str, u64)>> {
    let mut found = Vec::new();
    for chain in UPSTREAM_CHAINS {
        for rule in socket.list_rules(version.table(), chain)? {
            if rule.comment.as_deref() == Some(container_id) {
                found.push((chain, rule.handle));
            }
        }
    }
    Ok(found)
}

/// STATUS: whether nf_tables can be reached.
pub(super) fn is_usable() -> Result<()> {
    Socket::open()?.generation().map(drop)
}

/// The mappings of a plan as they are for a pod.
pub(super) fn mapped(mappings: &[Mapping], pod: &Pod) -> Vec<Mapped> {
    let common = Scope::common();
    let all = pod.nets().flat_map(|net| {
        PortKey::all(IpVersion::of(net.addr()), &common, mappings).map(move |port| Mapped {
            protocol: port.protocol,
            host_ip: port.host_ip,
            host_port: port.host_port,
            pod: net.addr(),
            container_port: port.container_port,
        })
    });
    all.collect()
}

/// The tables that ADD would touch: one for each family of the pod's addresses.
pub(super) fn describe(forecast: &mut Forecast<'_>) {
    for version in IpVersion::BOTH {
        let of_half = |ip: &netloom_spec::IpConfig| ip.address.addr().is_ipv6() == version.v6;
        if forecast.is_open || forecast.result.ips.iter().any(of_half) {
            foretell::table(forecast, *version.table());
        }
    }
}
