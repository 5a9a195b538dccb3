//! The mappings of one container and family as text, in the reference's rules.

use super::super::mapping::{Mapping, Transport};
use super::super::plan::{Masquerade, Plan};
use super::rules::{
    DNAT, GUARD, MASQ, Rule, SETMARK, dnat_jump, guard, jumps, mark_rule, masquerade_jump,
    masquerade_rule, words,
};
use super::seen::Seen;
use crate::wiring::iptables::{Saved, append, delete, insert, value_of};
use crate::wiring::owner::Owner;
use ipnet::IpNet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The match `multiport` takes so many ports; a range counts for two.
const MOST_PORTS: usize = 15;

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
