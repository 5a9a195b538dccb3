//! What all mappings share in nf_tables: the table, its maps, and the rules that look into them.

use super::scope::{self, Scope};
use crate::wiring::claims::{Shape, delete_set};
use netloom_kernel::Result;
use netloom_kernel::nft::{
    Batch, Chain, Family, Field, Hook, KeyType, Rule, Set, Socket, Table, priority,
};
use netloom_kernel::rtnl;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const TABLE: &str = "cni_hostport";
const COMMENT: &str = "CNI portmap plugin";
/// After whoever translates at the usual priority: a service's rules come first (CVE-2019-9946).
const AFTER_DSTNAT: i32 = priority::DSTNAT + 1;
/// After every translation on the way out.
const AFTER_OUTPUT_NAT: i32 = priority::DSTNAT + 10;
/// After the reversal of translations on the way in.
const AFTER_INPUT_NAT: i32 = priority::SRCNAT + 10;

const PREROUTING: &str = "prerouting_maps";
const OUTPUT: &str = "output_maps";
const LOOKUP: &str = "lookup";
pub(super) const MASQUERADING: &str = "masquerading_maps";
const LOCALNET: &str = "localnet";
const LOOPBACK_OUTPUT: &str = "loopback_output";
const LOOPBACK_UNMAPPED: &str = "loopback_unmapped";
const LOOPBACK_INPUT: &str = "loopback_input";

/// The pods that the host's loopback reaches (IPv4).
pub(super) const PODS: &str = "pods";
/// A source address for what goes to a mapped port of `::1` (IPv6): that of ports which are mapped
/// at that address alone, and that of others.
pub(super) const LOOPBACKS: [&str; 2] = ["hostip_loopback", "loopback"];
const SUBNETS: &str = "subnets";
/// What each attachment has.
pub(super) const ATTACHMENTS: &str = "attachments";

/// The chains of upstream's that hold a rule for each mapping.
pub(super) const UPSTREAM_CHAINS: [&str; 3] = ["hostports", "hostip_hostports", "masquerading"];

/// The objects of one IP version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IpVersion {
    pub(super) v6: bool,
}

impl IpVersion {
    pub(super) const BOTH: [Self; 2] = [Self { v6: false }, Self { v6: true }];

    pub(super) fn of(ip: IpAddr) -> Self {
        Self { v6: ip.is_ipv6() }
    }

    pub(super) fn table(self) -> &'static Table<'static> {
        const TABLES: [Table<'static>; 2] = [
            Table::new(Family::Ip, TABLE).comment(COMMENT),
            Table::new(Family::Ip6, TABLE).comment(COMMENT),
        ];
        if self.v6 { &TABLES[1] } else { &TABLES[0] }
    }

    /// The greatest length of a prefix.
    pub(super) fn bits(self) -> u8 {
        if self.v6 { 128 } else { 32 }
    }

    fn family(self) -> rtnl::Family {
        if self.v6 {
            rtnl::Family::V6
        } else {
            rtnl::Family::V4
        }
    }

    fn daddr(self) -> Field {
        if self.v6 {
            Field::Ip6Daddr
        } else {
            Field::IpDaddr
        }
    }
}

/// The set of pods with subnets of this length, each with its subnet.
pub(super) fn subnets(prefix_len: u8) -> String {
    format!("{SUBNETS}{prefix_len}")
}

/// The types of a set by its name.
pub(super) fn shape(version: IpVersion, set: &str) -> Shape<'static> {
    use KeyType::{Ifname, InetProto, InetService, Ipv4Addr, Ipv6Addr};
    const PORT: &[KeyType] = &[InetProto, InetService];
    let (key, value): (&[KeyType], &[KeyType]) = match set {
        ATTACHMENTS => (&[Ifname, Ifname], &[]),
        PODS => (&[Ipv4Addr], &[]),
        _ if LOOPBACKS.contains(&set) => (PORT, &[Ipv6Addr]),
        _ if set.starts_with(SUBNETS) && version.v6 => (&[Ipv6Addr, Ipv6Addr], &[]),
        _ if set.starts_with(SUBNETS) => (&[Ipv4Addr, Ipv4Addr], &[]),
        _ => {
            let exact = set.starts_with(scope::HOSTIP_PORTS);
            match (exact, version.v6) {
                (false, false) => (PORT, &[Ipv4Addr, InetService]),
                (false, true) => (PORT, &[Ipv6Addr, InetService]),
                (true, false) => (
                    &[Ipv4Addr, InetProto, InetService],
                    &[Ipv4Addr, InetService],
                ),
                (true, true) => (
                    &[Ipv6Addr, InetProto, InetService],
                    &[Ipv6Addr, InetService],
                ),
            }
        }
    };
    Shape { key, value }
}

/// Whether attachments have elements in the set of this name. Those in which claims wait are reached
/// by way of it.
pub(super) fn is_of_attachments(set: &str) -> bool {
    let fixed = [ATTACHMENTS, PODS, LOOPBACKS[0], LOOPBACKS[1]];
    let kinds = [SUBNETS, scope::PORTS, scope::HOSTIP_PORTS];
    fixed.contains(&set) || kinds.iter().any(|kind| set.starts_with(kind))
}

/// Whether the values of the map of this name are pods and ports of theirs.
pub(super) fn is_map_of_ports(set: &str) -> bool {
    let kinds = [scope::PORTS, scope::HOSTIP_PORTS];
    kinds.iter().any(|kind| set.starts_with(kind))
}

/// Adds what is missing of everything shared, the maps of a scope and the set of a length of
/// prefixes. What is there stays, and so do all elements.
pub(super) fn complete(
    socket: &Socket,
    batch: &mut Batch<'_>,
    version: IpVersion,
    scope: &Scope,
    prefix_len: Option<u8>,
) -> Result<()> {
    let table = version.table();
    if missing(socket, version)?.is_some() {
        rebuild(socket, batch, version)?;
    }
    if !scope.is_common() && socket.get_chain(table, scope.chain())?.is_none() {
        add_maps(batch, version, scope);
        batch.create_chain(table, &Chain::new(scope.chain()).comment(scope.comment()));
        add_lookups(batch, version, scope);
        for rule in scope.conditions() {
            let jump = rule.clone().jump(scope.chain()).comment(scope.chain());
            batch.add_rule(table, LOOKUP, &jump);
        }
    }
    if let Some(length) = prefix_len {
        let name = subnets(length);
        if socket.get_set(table, &name)?.is_none() {
            let key = shape(version, &name).key;
            batch.create_set(table, &Set::new(&name, key));
            add_subnet_rule(batch, version, length);
        }
    }
    Ok(())
}

/// The first thing that is not there of what all mappings need: a chain with too few rules, or the
/// set of attachments.
pub(super) fn missing(socket: &Socket, version: IpVersion) -> Result<Option<&'static str>> {
    missing_of(socket, version, &chains(version))
}

fn missing_of(
    socket: &Socket,
    version: IpVersion,
    chains: &[(&'static str, usize)],
) -> Result<Option<&'static str>> {
    for (chain, rules) in chains {
        if socket.list_rules(version.table(), chain)?.len() < *rules {
            return Ok(Some(chain));
        }
    }
    let there = socket.get_set(version.table(), ATTACHMENTS)?.is_some();
    Ok((!there).then_some(ATTACHMENTS))
}

/// Adds what is missing of the way from `::1`, for ports that iptables maps.
pub(super) fn complete_loopback(socket: &Socket, batch: &mut Batch<'_>) -> Result<()> {
    let version = IpVersion { v6: true };
    if missing_of(socket, version, &LOOPBACK_CHAINS)?.is_some() {
        batch.ensure_table(version.table());
        add_attachments(batch, version);
        add_loopback(batch, version);
    }
    Ok(())
}

/// Whether neighbours in subnets of this length are masqueraded.
pub(super) fn masquerades(socket: &Socket, version: IpVersion, length: u8) -> Result<bool> {
    let rules = socket.list_rules(version.table(), MASQUERADING)?;
    let name = subnets(length);
    Ok(rules
        .iter()
        .any(|rule| rule.comment.as_deref() == Some(&name)))
}

const LOOPBACK_CHAINS: [(&str, usize); 3] = [
    (LOOPBACK_OUTPUT, LOOPBACKS.len()),
    (LOOPBACK_UNMAPPED, LOOPBACKS.len()),
    (LOOPBACK_INPUT, 1),
];

/// How many rules each chain has at least.
fn chains(version: IpVersion) -> Vec<(&'static str, usize)> {
    let mut chains = vec![(PREROUTING, 1), (OUTPUT, 1), (LOOKUP, 2)];
    if version.v6 {
        chains.extend(LOOPBACK_CHAINS);
    } else {
        chains.extend([(MASQUERADING, 1), (LOCALNET, 2)]);
    }
    chains
}

/// Makes the chains anew, around all elements that there are.
fn rebuild(socket: &Socket, batch: &mut Batch<'_>, version: IpVersion) -> Result<()> {
    let table = version.table();
    let is_new = socket.get_table(table)?.is_none();
    batch.ensure_table(table);
    for base in [
        Chain::new(PREROUTING).nat(Hook::Prerouting, AFTER_DSTNAT),
        Chain::new(OUTPUT).nat(Hook::Output, AFTER_DSTNAT),
        Chain::new(LOOKUP),
        Chain::new(MASQUERADING).nat(Hook::Postrouting, priority::SRCNAT),
    ] {
        batch.ensure_chain(table, &base);
    }
    for name in [PREROUTING, OUTPUT, MASQUERADING] {
        batch.flush_chain(table, name);
    }
    // Packets that only pass through are none of ours (CVE-2025-67499).
    let to_us = Rule::new().daddr_is_local().jump(LOOKUP);
    batch
        .add_rule(table, PREROUTING, &to_us)
        .add_rule(table, OUTPUT, &to_us);
    let common = Scope::common();
    add_attachments(batch, version);
    add_maps(batch, version, &common);
    if socket.list_rules(table, LOOKUP)?.len() < 2 {
        batch.flush_chain(table, LOOKUP);
        add_lookups(batch, version, &common);
        // Nothing leads to these now; the next ADD of their network makes them anew.
        for scope in scopes(socket, version)? {
            batch.delete_chain(table, scope.chain());
        }
    }
    if version.v6 {
        add_loopback(batch, version);
    } else {
        add_localnet(batch, version);
    }
    for length in (0..=version.bits()).filter(|_| !is_new) {
        if socket.get_set(table, &subnets(length))?.is_some() {
            add_subnet_rule(batch, version, length);
        }
    }
    Ok(())
}

/// The conditions of all networks.
pub(super) fn scopes(socket: &Socket, version: IpVersion) -> Result<Vec<Scope>> {
    let chains = socket.list_chains(version.table())?;
    Ok(chains.iter().filter_map(Scope::of_chain).collect())
}

/// Deletes a scope of which no element is left.
pub(super) fn delete_scope(
    socket: &Socket,
    batch: &mut Batch<'_>,
    version: IpVersion,
    scope: &Scope,
) -> Result<()> {
    let table = version.table();
    for rule in socket.list_rules(table, LOOKUP)? {
        if rule.comment.as_deref() == Some(scope.chain()) {
            batch.delete_rule(table, LOOKUP, rule.handle);
        }
    }
    batch.delete_chain(table, scope.chain());
    for map in [scope.ports(), scope.hostip_ports()] {
        delete_set(socket, batch, table, map)?;
    }
    Ok(())
}

fn add_attachments(batch: &mut Batch<'_>, version: IpVersion) {
    let key = shape(version, ATTACHMENTS).key;
    batch.ensure_set(version.table(), &Set::new(ATTACHMENTS, key));
}

fn add_maps(batch: &mut Batch<'_>, version: IpVersion, scope: &Scope) {
    for map in [scope.ports(), scope.hostip_ports()] {
        let shape = shape(version, map);
        batch.ensure_set(version.table(), &Set::map(map, shape.key, shape.value));
    }
}

/// The rules that translate by the maps of a scope, the more exact map first.
fn add_lookups(batch: &mut Batch<'_>, version: IpVersion, scope: &Scope) {
    let exact = [version.daddr(), Field::L4proto, Field::Dport];
    let table = version.table();
    for (fields, map) in [
        (&exact[..], scope.hostip_ports()),
        (&exact[1..], scope.ports()),
    ] {
        let rule = Rule::new().dnat_map(fields, map, version.family());
        batch.add_rule(table, scope.chain(), &rule);
    }
}

fn add_subnet_rule(batch: &mut Batch<'_>, version: IpVersion, length: u8) {
    let name = subnets(length);
    let rule = Rule::new()
        .ct_is_dnat()
        .subnet_and_daddr_in_set(length, &name, version.family())
        .masquerade()
        .comment(&name);
    batch.add_rule(version.table(), MASQUERADING, &rule);
}

/// IPv4: what comes from the host's loopback is masqueraded; and as route_localnet takes away the
/// kernel's own guard, nothing on any wire may claim to be from or to 127.0.0.0/8. This is before
/// any translation, so it is the addresses on the wire that are seen.
fn add_localnet(batch: &mut Batch<'_>, version: IpVersion) {
    let table = version.table();
    let loopback = ipnet::Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8).into();
    let foreign = || Rule::new().iifname_ne("lo");
    batch
        .ensure_set(table, &Set::new(PODS, shape(version, PODS).key))
        .add_rule(
            table,
            MASQUERADING,
            &Rule::new()
                .saddr_in(loopback)
                .in_set(&[Field::IpDaddr], PODS)
                .ct_is_dnat()
                .masquerade(),
        )
        .ensure_chain(
            table,
            &Chain::new(LOCALNET).filter(Hook::Prerouting, priority::RAW),
        )
        .flush_chain(table, LOCALNET)
        .add_rule(table, LOCALNET, &foreign().saddr_in(loopback).drop())
        .add_rule(table, LOCALNET, &foreign().daddr_in(loopback).drop());
}

/// IPv6 has no route_localnet: an answer to `::1` is not routed in by another link than `lo`. So
/// before connection tracking sees it, a packet to a mapped port of `::1` gets a source address
/// of the host that the pod can answer to; and the answer, known by its source, which can be `::1`
/// only after the translation was reversed, gets its destination back when it has been routed.
///
/// What nobody has translated in between stays on the host, and gets its source address back: the
/// mapping may have been iptables', of which the reference's DEL takes away only what it knows.
///
/// (A route of `::1` by the pod's link would do without all this, but not where br_netfilter has
/// the destination reversed before the packet is taken for IPv6: the kernel drops it then.)
fn add_loopback(batch: &mut Batch<'_>, version: IpVersion) {
    let table = version.table();
    let local = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let fields = [Field::L4proto, Field::Dport];
    for (chain, hook, priority) in [
        (LOOPBACK_OUTPUT, Hook::Output, priority::RAW),
        (LOOPBACK_UNMAPPED, Hook::Output, AFTER_OUTPUT_NAT),
    ] {
        batch
            .ensure_chain(table, &Chain::new(chain).filter(hook, priority))
            .flush_chain(table, chain);
    }
    for map in LOOPBACKS {
        let mapped = Rule::new()
            .saddr_eq(local)
            .daddr_eq(local)
            .set_ip6_saddr_by_map(&fields, map);
        let unmapped = Rule::new()
            .saddr_ne(local)
            .daddr_eq(local)
            // By the map as well, so that nobody else's packets are meant.
            .set_ip6_saddr_by_map(&fields, map)
            .set_ip6_saddr(Ipv6Addr::LOCALHOST);
        let shape = shape(version, map);
        batch
            .ensure_set(table, &Set::map(map, shape.key, shape.value))
            .add_rule(table, LOOPBACK_OUTPUT, &mapped)
            .add_rule(table, LOOPBACK_UNMAPPED, &unmapped);
    }
    batch
        .ensure_chain(
            table,
            &Chain::new(LOOPBACK_INPUT).filter(Hook::Input, AFTER_INPUT_NAT),
        )
        .flush_chain(table, LOOPBACK_INPUT)
        .add_rule(
            table,
            LOOPBACK_INPUT,
            &Rule::new()
                .iifname_ne("lo")
                .saddr_eq(local)
                .set_ip6_daddr(Ipv6Addr::LOCALHOST),
        );
}
