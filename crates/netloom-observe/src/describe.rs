//! Names and details of objects, the same in snapshots and recordings.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use netloom_kernel::nft::{ElementInfo, RuleInfo, Verdict};
use netloom_kernel::rtnl::{
    Address, Family, Link, Neighbour, NeighbourState, Route, RouteKind, Rule, RuleAction, Scope,
    TrafficControl, table,
};

use crate::Kind;

/// `RTPROT_KERNEL`: a route that follows from an address.
const OF_KERNEL: u8 = 2;

/// What is told of an object.
pub(crate) struct Told {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) details: String,
}

fn told(kind: Kind, name: String, details: Vec<String>) -> Told {
    Told {
        kind,
        name,
        details: details.join(", "),
    }
}

/// The names of links by their index.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<u32, String>);

impl Names {
    pub(crate) fn knows(&self, index: u32) -> bool {
        self.0.contains_key(&index)
    }

    pub(crate) fn learn(&mut self, index: u32, name: &str) {
        self.0.insert(index, name.to_owned());
    }

    fn of(&self, index: u32) -> String {
        let name = self.0.get(&index).cloned();
        name.unwrap_or_else(|| format!("#{index}"))
    }
}

pub(crate) fn link(link: &Link, names: &Names) -> Told {
    let mut details = Vec::new();
    if let Some(kind) = &link.kind {
        details.push(kind.name().to_owned());
    }
    details.push(if link.flags.is_up() { "up" } else { "down" }.to_owned());
    details.push(format!("mtu {}", link.mtu));
    if let Some(master) = link.master {
        details.push(format!("port of {}", names.of(master)));
    }
    if let Some(port) = &link.bridge_port {
        if port.hairpin {
            details.push("hairpin".to_owned());
        }
        if port.isolated {
            details.push("isolated".to_owned());
        }
    }
    if link.flags.is_promiscuous() {
        details.push("promiscuous".to_owned());
    }
    if let Some(alias) = &link.alias {
        details.push(format!("alias {alias:?}"));
    }
    told(Kind::Link, link.name.clone(), details)
}

/// `None`: the kernel gives link-local addresses when it sees fit.
pub(crate) fn address(address: &Address, names: &Names) -> Option<Told> {
    if address.scope == Scope::Link && address.address.addr().is_ipv6() {
        return None;
    }
    let mut name = address.address.to_string();
    if let Some(peer) = address.peer.filter(|peer| *peer != address.address.addr()) {
        let _ = write!(name, " peer {peer}");
    }
    let _ = write!(name, " on {}", names.of(address.link));
    Some(told(Kind::Address, name, Vec::new()))
}

/// `None`: routes of the kernel's own, which follow from addresses, and multicast.
pub(crate) fn route(route: &Route, names: &Names) -> Option<Told> {
    if route.protocol == OF_KERNEL || route.table == table::LOCAL {
        return None;
    }
    let default = route.is_default();
    let mut name = match (default, route.dst.addr().is_ipv6()) {
        (true, true) => "default (IPv6)".to_owned(),
        (true, false) => "default".to_owned(),
        (false, _) => route.dst.to_string(),
    };
    if route.kind != RouteKind::Unicast {
        let _ = write!(name, " {}", format!("{:?}", route.kind).to_lowercase());
    }
    if let Some(gateway) = route.gateway {
        let _ = write!(name, " via {gateway}");
    }
    if let Some(device) = route.device {
        let _ = write!(name, " dev {}", names.of(device));
    }
    for hop in &route.next_hops {
        let _ = write!(name, " nexthop dev {}", names.of(hop.device));
        if let Some(gateway) = hop.gateway {
            let _ = write!(name, " via {gateway}");
        }
    }
    if route.table != table::MAIN {
        let _ = write!(name, " table {}", route.table);
    }
    if route.priority != 0 {
        let _ = write!(name, " metric {}", route.priority);
    }
    let mut details = Vec::new();
    if let Some(source) = route.source {
        details.push(format!("src {source}"));
    }
    if route.mtu != 0 {
        details.push(format!("mtu {}", route.mtu));
    }
    Some(told(Kind::Route, name, details))
}

pub(crate) fn rule(rule: &Rule) -> Told {
    let mut name = format!("{}:", rule.priority.unwrap_or_default());
    if rule.family == Family::V6 {
        name.push_str(" IPv6");
    }
    if rule.invert {
        name.push_str(" not");
    }
    for (word, net) in [("from", rule.from), ("to", rule.to)] {
        if let Some(net) = net {
            let _ = write!(name, " {word} {net}");
        }
    }
    for (word, link) in [("iif", &rule.iif), ("oif", &rule.oif)] {
        if let Some(link) = link {
            let _ = write!(name, " {word} {link}");
        }
    }
    if let Some((mark, mask)) = rule.mark {
        let _ = write!(name, " fwmark {mark:#x}/{mask:#x}");
    }
    match rule.action {
        RuleAction::ToTable if rule.l3mdev => name.push_str(" lookup [l3mdev]"),
        RuleAction::ToTable => {
            let _ = write!(name, " lookup {}", rule.table);
        }
        action => {
            let _ = write!(name, " {action:?}");
        }
    }
    told(Kind::Rule, name, Vec::new())
}

/// `None`: one that the kernel learned.
pub(crate) fn neighbour(neighbour: &Neighbour, names: &Names) -> Option<Told> {
    if neighbour.state.bits() & NeighbourState::PERMANENT.bits() == 0 {
        return None;
    }
    let multicast = neighbour.ip.is_multicast();
    let no_arp = neighbour.state.bits() != NeighbourState::PERMANENT.bits();
    if multicast || no_arp {
        return None;
    }
    let name = format!("{} on {}", neighbour.ip, names.of(neighbour.link));
    let mac = neighbour.mac.map(|mac| {
        let parts: Vec<_> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        parts.join(":")
    });
    Some(told(Kind::Neighbour, name, mac.into_iter().collect()))
}

/// `None`: what the kernel gives to links by itself.
pub(crate) fn traffic_control(tc: &TrafficControl, names: &Names) -> Option<Told> {
    const OF_KERNEL: [&str; 6] = ["noqueue", "fq_codel", "pfifo_fast", "mq", "pfifo", "noop"];
    if tc.object == "qdisc" && OF_KERNEL.contains(&tc.kind.as_str()) {
        return None;
    }
    let name = format!(
        "{} {} at {} of {}",
        tc.object,
        tc.kind,
        tc.parent,
        names.of(tc.link)
    );
    Some(told(Kind::TrafficControl, name, Vec::new()))
}

/// What a rule of nf_tables says of itself, as far as it can be told in words.
pub(crate) fn chain_rule(rule: &RuleInfo) -> String {
    let mut words = Vec::new();
    if let Some(comment) = rule.comment.as_deref().or_else(|| rule.iptables_comment()) {
        words.push(format!("{comment:?}"));
    }
    match rule.verdict() {
        Some(Verdict::Jump(chain)) => words.push(format!("jump {chain}")),
        Some(Verdict::Goto(chain)) => words.push(format!("goto {chain}")),
        Some(verdict) => words.push(format!("{verdict:?}").to_lowercase()),
        None => {}
    }
    words.join(", ")
}

/// An element's key: an address or a number where it is one.
pub(crate) fn element(element: &ElementInfo) -> String {
    let key = element.key.as_slice();
    if let Ok(v4) = <[u8; 4]>::try_from(key) {
        return Ipv4Addr::from(v4).to_string();
    }
    if let Ok(v6) = <[u8; 16]>::try_from(key) {
        return Ipv6Addr::from(v6).to_string();
    }
    let digits: Vec<_> = key.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}
