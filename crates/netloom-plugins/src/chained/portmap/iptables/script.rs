//! The mappings of one container and family as text, in the reference's rules.

use super::super::mapping::{Mapping, Transport};
use super::super::plan::{Masquerade, Plan};
use super::seen::Seen;
use crate::wiring::iptables::{Saved, append, delete, insert, value_of};
use crate::wiring::owner::Owner;
use ipnet::IpNet;
use netloom_plugin::host::{Claimant, ClaimedAddress};
use netloom_spec::Attachment;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub(super) const DNAT: &str = "CNI-HOSTPORT-DNAT";
pub(super) const SETMARK: &str = "CNI-HOSTPORT-SETMARK";
pub(super) const MASQ: &str = "CNI-HOSTPORT-MASQ";
/// In the table `raw`, which is before any translation: it is the addresses on the wire that are
/// seen there.
pub(super) const GUARD: &str = "CNI-HOSTPORT-LOCALNET";
/// References up to 0.6 kept a chain of this kind for each container.
const OLD_SNAT: &str = "CNI-HOSTPORT-SNAT";
/// What leads to chains of containers.
pub(super) const LEADING: &[&str] = &[DNAT, OLD_SNAT];
const DEFAULT_MARK: u32 = 0x2000;
/// The match `multiport` takes so many ports; a range counts for two.
const MOST_PORTS: usize = 15;

type Rule = Vec<String>;

/// One family's mappings of one container.
#[derive(Debug, Clone)]
pub(super) struct Script {
    chain: String,
    /// Its name where the reference's is taken.
    apart: String,
    comment: String,
    net: IpNet,
    /// Those of both families.
    all: Vec<Mapping>,
    mappings: Vec<Mapping>,
    masquerade: Masquerade,
    mark: u32,
    /// `externalSetMarkChain`.
    set_mark_chain: Option<String>,
    conditions: Vec<String>,
}

/// The container's chain, that of old references, and that where the first is somebody else's.
pub(super) fn chains_of(owner: Owner<'_>) -> Vec<String> {
    vec![
        owner.iptables_chain_of("DN-"),
        owner.iptables_chain_of("SN-"),
        owner.iptables_chain_apart("DN-"),
    ]
}

/// Whether the comment of what leads to a chain says that the chain is the owner's.
pub(super) fn is_named_by(owner: Owner<'_>, comment: Option<&str>) -> bool {
    let own = owner.iptables_comment();
    // `dnat …`, or `snat …` of old references; long ones are cut.
    comment.is_none_or(|comment| {
        let named = comment.split_once(' ').map_or(comment, |(_, named)| named);
        own.starts_with(named)
    })
}

impl Script {
    /// The mappings for one address of the pod.
    pub(super) fn new(owner: Owner<'_>, plan: &Plan, net: IpNet) -> Self {
        let v6 = net.addr().is_ipv6();
        let for_family = plan.mappings.iter().filter(|mapping| mapping.is_for(v6));
        Self {
            chain: owner.iptables_chain_of("DN-"),
            apart: owner.iptables_chain_apart("DN-"),
            comment: owner.iptables_dnat_comment(),
            net,
            all: plan.mappings.clone(),
            mappings: for_family.cloned().collect(),
            masquerade: plan.masquerade,
            mark: plan.mark,
            set_mark_chain: plan.set_mark_chain.clone(),
            conditions: plan.conditions(v6).tokens().to_vec(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.mappings.is_empty()
    }

    /// The container's chain in table `nat`.
    pub(super) fn chain(&self) -> &str {
        &self.chain
    }

    pub(super) fn mark(&self) -> u32 {
        self.mark
    }

    pub(super) fn has_default_mark(&self) -> bool {
        self.mark == DEFAULT_MARK
    }

    fn masquerades(&self) -> bool {
        self.masquerade != Masquerade::Nobody
    }

    fn is_v4(&self) -> bool {
        self.net.addr().is_ipv4()
    }

    /// Makes everything that is not there yet, and the container's chain anew.
    pub(super) fn create(&self, seen: &Seen) -> String {
        let mut script = String::new();
        if self.masquerades() && self.is_v4() {
            add_guard(&mut script, seen);
        }
        script.push_str("*nat\n");
        if self.masquerades() && self.set_mark_chain.is_none() {
            self.add_masquerade(&mut script, seen);
        }
        if !seen.dnat {
            create(&mut script, DNAT);
        }
        // After the rules of others: theirs come first (CVE-2019-9946).
        for (from, there) in [("PREROUTING", seen.prerouting), ("OUTPUT", seen.output)] {
            if !there {
                append(&mut script, &dnat_jump(from));
            }
        }
        for entry in &seen.own {
            delete(&mut script, entry);
        }
        declare(&mut script, &self.chain);
        for rule in self.rules() {
            append(&mut script, &rule);
        }
        // Before the entries of other containers: the last ADD has the port.
        for entry in self.entries().iter().rev() {
            insert(&mut script, entry);
        }
        script.push_str("COMMIT\n");
        script
    }

    fn add_masquerade(&self, script: &mut String, seen: &Seen) {
        for (there, chain) in [(seen.setmark, SETMARK), (seen.masq, MASQ)] {
            if !there {
                create(script, chain);
            }
        }
        if !seen.mark_rule {
            append(script, &mark_rule(self.mark));
        }
        if !seen.masquerade_rule {
            append(script, &masquerade_rule(self.mark));
        }
        // Before the masquerade of bridge and ptp, which would accept what goes to their subnet.
        if !seen.postrouting {
            insert(script, &masquerade_jump());
        }
    }

    /// Removes the container's chain, provided that just its entries lead to it.
    pub(super) fn remove(&self) -> String {
        let mut script = String::from("*nat\n");
        for entry in self.entries() {
            delete(&mut script, &entry);
        }
        let _ = write!(script, "-F {0}\n-X {0}\nCOMMIT\n", self.chain);
        script
    }

    /// Whether what leads to the container's chain is somebody else's. `true`, and the chain has
    /// another name from then on.
    pub(super) fn evades<R: AsRef<[String]>>(&mut self, leading: &[R]) -> bool {
        let is_others = |entry: &R| {
            let comment = value_of(entry.as_ref(), "--comment");
            comment.is_some_and(|comment| comment != self.comment)
        };
        if self.chain == self.apart || !leading.iter().any(is_others) {
            return false;
        }
        self.chain.clone_from(&self.apart);
        true
    }

    /// The container's chain is to be found in what `iptables-save` printed.
    pub(super) fn settle(&mut self, saved: &Saved) {
        let leading: Vec<_> = jumps(saved, DNAT, &self.chain).map(<[_]>::to_vec).collect();
        self.evades(&leading);
    }

    /// The rules that all mappings need.
    pub(super) fn shared(&self) -> Vec<Rule> {
        let mut shared = vec![dnat_jump("PREROUTING"), dnat_jump("OUTPUT")];
        if self.masquerades() && self.set_mark_chain.is_none() {
            shared.extend([
                mark_rule(self.mark),
                masquerade_rule(self.mark),
                masquerade_jump(),
            ]);
        }
        shared
    }

    /// Whether a guard against spoofed loopback addresses belongs to it.
    pub(super) fn is_guarded(&self) -> bool {
        self.masquerades() && self.is_v4()
    }

    /// The mappings of its family.
    pub(super) fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// The rules of the container's chain, as `iptables-save` prints them.
    pub(super) fn rules(&self) -> Vec<Rule> {
        self.mappings
            .iter()
            .flat_map(|mapping| self.rules_of(mapping))
            .collect()
    }

    fn rules_of(&self, mapping: &Mapping) -> Vec<Rule> {
        let mark = self.set_mark_chain.as_deref().unwrap_or(SETMARK);
        let localhost = IpNet::from(IpAddr::from(Ipv4Addr::LOCALHOST));
        let mut rules = Vec::with_capacity(3);
        match self.masquerade {
            Masquerade::Nobody => {}
            Masquerade::Everybody => rules.push(self.rule(mapping, None, &[mark])),
            Masquerade::Neighbours => {
                rules.push(self.rule(mapping, Some(self.net.trunc()), &[mark]));
                if self.is_v4() {
                    rules.push(self.rule(mapping, Some(localhost), &[mark]));
                }
            }
        }
        let target = SocketAddr::new(self.net.addr(), mapping.container_port).to_string();
        let target = match mapping.count {
            1 => target,
            _ => format!(
                "{target}-{}/{}",
                mapping.container_ports().end(),
                mapping.host_port
            ),
        };
        rules.push(self.rule(mapping, None, &["DNAT", "--to-destination", &target]));
        rules
    }

    fn rule(&self, mapping: &Mapping, source: Option<IpNet>, target: &[&str]) -> Rule {
        let mut rule = words(&["-A", &self.chain]);
        if let Some(source) = source {
            rule.extend(words(&["-s", &source.to_string()]));
        }
        if let Some(ip) = mapping.host_ip {
            rule.extend(words(&["-d", &IpNet::from(ip).to_string()]));
        }
        let protocol = mapping.protocol.name();
        rule.extend(words(&[
            "-p",
            protocol,
            "-m",
            protocol,
            "--dport",
            &ports(mapping),
        ]));
        rule.push("-j".to_owned());
        rule.extend(words(target));
        rule
    }

    /// What leads to the container's chain: for each protocol, some ports at a time. As in the
    /// reference, whose CHECK wants just that, also those of the other family: they find nothing
    /// in the chain.
    pub(super) fn entries(&self) -> Vec<Rule> {
        let mut entries = Vec::new();
        for protocol in [Transport::Sctp, Transport::Tcp, Transport::Udp] {
            let of_protocol = self
                .all
                .iter()
                .filter(|mapping| mapping.protocol == protocol);
            for group in grouped(of_protocol) {
                let mut entry = words(&["-A", DNAT, "-p", protocol.name(), "-m", "comment"]);
                entry.extend(words(&["--comment", &self.comment, "-m", "multiport"]));
                entry.extend(words(&["--dports", &group]));
                entry.extend(self.conditions.iter().cloned());
                entry.extend(words(&["-j", &self.chain]));
                entries.push(entry);
            }
        }
        entries
    }
}

/// Lists of ports that `multiport` takes.
fn grouped<'m>(mappings: impl Iterator<Item = &'m Mapping>) -> Vec<String> {
    let mut groups: Vec<(usize, Vec<String>)> = Vec::new();
    for mapping in mappings {
        let (text, weight) = (ports(mapping), if mapping.count > 1 { 2 } else { 1 });
        match groups
            .last_mut()
            .filter(|(used, _)| used + weight <= MOST_PORTS)
        {
            Some((used, group)) => {
                *used += weight;
                group.push(text);
            }
            None => groups.push((weight, vec![text])),
        }
    }
    groups
        .into_iter()
        .map(|(_, group)| group.join(","))
        .collect()
}

fn ports(mapping: &Mapping) -> String {
    match mapping.count {
        1 => mapping.host_port.to_string(),
        _ => format!("{}:{}", mapping.host_port, mapping.host_ports().end()),
    }
}

/// Nothing on any wire may claim to be from or to 127.0.0.0/8: `route_localnet` takes away the
/// kernel's own guard.
fn add_guard(script: &mut String, seen: &Seen) {
    if seen.guard && seen.guard_jump {
        return;
    }
    script.push_str("*raw\n");
    match (seen.guard, seen.guard_chain) {
        (true, _) => {}
        (false, true) => declare(script, GUARD),
        (false, false) => create(script, GUARD),
    }
    for rule in guard() {
        let there = if rule[1] == GUARD {
            seen.guard
        } else {
            seen.guard_jump
        };
        if !there {
            append(script, &rule);
        }
    }
    script.push_str("COMMIT\n");
}

/// Makes a chain that all share. The script fails if there is one by now; to declare it would empty
/// that.
fn create(script: &mut String, chain: &str) {
    let _ = writeln!(script, "-N {chain}");
}

/// Makes a chain, or empties it.
fn declare(script: &mut String, chain: &str) {
    let _ = writeln!(script, ":{chain} - [0:0]");
}

/// The rules that guard.
pub(super) fn guard() -> Vec<Rule> {
    let drop = |side| words(&["-A", GUARD, side, "127.0.0.0/8", "-j", "DROP"]);
    vec![drop("-s"), drop("-d"), guard_jump()]
}

pub(super) fn guard_jump() -> Rule {
    let comment = "CNI portfwd spoofed localhost";
    let head = [
        "-A",
        "PREROUTING",
        "!",
        "-i",
        "lo",
        "-m",
        "comment",
        "--comment",
    ];
    words(&[&head[..], &[comment, "-j", GUARD]].concat())
}

pub(super) fn mark_rule(mark: u32) -> Rule {
    let comment = "CNI portfwd masquerade mark";
    let head = ["-A", SETMARK, "-m", "comment", "--comment", comment];
    words(&[&head[..], &["-j", "MARK", "--set-xmark", &masked(mark)]].concat())
}

pub(super) fn masquerade_rule(mark: u32) -> Rule {
    words(&[
        "-A",
        MASQ,
        "-m",
        "mark",
        "--mark",
        &masked(mark),
        "-j",
        "MASQUERADE",
    ])
}

pub(super) fn masquerade_jump() -> Rule {
    let comment = "CNI portfwd requiring masquerade";
    words(&[
        "-A",
        "POSTROUTING",
        "-m",
        "comment",
        "--comment",
        comment,
        "-j",
        MASQ,
    ])
}

fn dnat_jump(from: &str) -> Rule {
    words(&[
        "-A",
        from,
        "-m",
        "addrtype",
        "--dst-type",
        "LOCAL",
        "-j",
        DNAT,
    ])
}

fn masked(mark: u32) -> String {
    format!("{mark:#x}/{mark:#x}")
}

fn words(words: &[&str]) -> Rule {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The rules of one chain that jump to another.
pub(super) fn jumps<'s>(
    saved: &'s Saved,
    from: &'s str,
    to: &'s str,
) -> impl Iterator<Item = &'s [String]> {
    let leads = move |rule: &&[String]| value_of(rule, "-j") == Some(to);
    saved.of_chain(from).filter(leads)
}

/// Whether a chain translates to the pod's address.
pub(super) fn leads_to_pod(saved: &Saved, chain: &str, pod: IpAddr) -> bool {
    let target = SocketAddr::new(pod, 0).to_string();
    let target = target.trim_end_matches('0');
    let mut targets = saved
        .of_chain(chain)
        .filter_map(|rule| value_of(rule, "--to-destination"));
    targets.any(|found| found.starts_with(target))
}

/// Those of the chains that no jump with another's comment leads to.
pub(super) fn of_owner(
    saved: &Saved,
    chains: &[String],
    is_own: impl Fn(Option<&str>) -> bool,
) -> Vec<String> {
    let owned = |chain: &&String| {
        LEADING
            .iter()
            .all(|from| jumps(saved, from, chain).all(|entry| is_own(value_of(entry, "--comment"))))
    };
    chains.iter().filter(owned).cloned().collect()
}

/// Removes chains of containers and what really leads to them; `None` when nothing does.
pub(super) fn sweep(saved: &Saved, chains: &[String]) -> Option<String> {
    let there: Vec<&String> = chains
        .iter()
        .filter(|chain| saved.declares(chain))
        .collect();
    if there.is_empty() {
        return None;
    }
    let mut script = String::from("*nat\n");
    for chain in &there {
        for from in LEADING {
            for entry in jumps(saved, from, chain) {
                delete(&mut script, entry);
            }
        }
    }
    for chain in there {
        let _ = write!(script, "-F {chain}\n-X {chain}\n");
    }
    script.push_str("COMMIT\n");
    Some(script)
}

/// The chains of the network's containers that have no valid attachment. Whose a chain is, the
/// comment of an entry tells.
pub(super) fn stale(saved: &Saved, network: &str, valid: &[Attachment]) -> Vec<String> {
    let mut chains = Vec::new();
    for entry in saved.rules.iter().filter(|rule| rule[1] == DNAT) {
        let Some(container_id) = container_of(entry, network) else {
            continue;
        };
        if valid
            .iter()
            .any(|attachment| attachment.container_id == container_id)
        {
            continue;
        }
        let owner = Owner {
            network,
            container_id,
            if_name: "",
        };
        let is_own = |comment: Option<&str>| is_named_by(owner, comment);
        for chain in of_owner(saved, &chains_of(owner), is_own) {
            if !chains.contains(&chain) {
                chains.push(chain);
            }
        }
    }
    chains
}

/// The network's containers, each with the addresses that its chains translate to.
pub(super) fn claims(saved: &Saved, network: &str) -> Vec<ClaimedAddress> {
    let mut found = Vec::new();
    for entry in saved.rules.iter().filter(|rule| rule[1] == DNAT) {
        let (container, chain) = (container_of(entry, network), value_of(entry, "-j"));
        let (Some(container), Some(chain)) = (container, chain) else {
            continue;
        };
        let targets = saved.of_chain(chain);
        let targets = targets.filter_map(|rule| value_of(rule, "--to-destination"));
        let addresses = targets.filter_map(|to| Some(to.parse::<SocketAddr>().ok()?.ip()));
        let addresses: BTreeSet<IpAddr> = addresses.collect();
        found.extend(addresses.into_iter().map(|address| ClaimedAddress {
            claimant: Claimant::Container(container.to_owned()),
            address,
        }));
    }
    found
}

/// The container id in the comment of an entry of this network.
fn container_of<'r>(entry: &'r [String], network: &str) -> Option<&'r str> {
    let comment = value_of(entry, "--comment")?;
    let rest = comment
        .strip_prefix("dnat name: \"")?
        .strip_prefix(network)?;
    rest.strip_prefix("\" id: \"")?.strip_suffix('"')
}
