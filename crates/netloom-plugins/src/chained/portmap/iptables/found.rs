//! CHECK: what a container should have, looked for in all that iptables has. Each rule is read once:
//! there may be tens of thousands.

use super::rules::{DNAT, GUARD, guard};
use super::script::Script;
use crate::wiring::iptables::{Saved, value_of};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};

/// How many words an entry has without conditions.
const WORDS_OF_ENTRY: usize = 14;

/// The first thing that is not as ADD made it, in words.
pub(super) fn missing(script: &Script, text: &str) -> Option<String> {
    let saved = Saved::parse(text, "nat");
    let raw = Saved::parse(text, "raw");
    let mut script = script.clone();
    script.settle(&saved);
    if !saved.declares(script.chain()) {
        return Some(format!("chain {} not found", script.chain()));
    }
    let there: HashSet<&[String]> = saved.rules.iter().map(Vec::as_slice).collect();
    // What the reference added is without a guard until somebody is added by netloom.
    let guards = if script.is_guarded() && raw.declares(GUARD) {
        guard()
    } else {
        Vec::new()
    };
    let unguarded = guards.into_iter().find(|rule| !raw.has(rule));
    let mut all = script.rules().into_iter().chain(script.shared());
    if let Some(rule) = all
        .find(|rule| !there.contains(rule.as_slice()))
        .or(unguarded)
    {
        return Some(format!("rule {} not found", rule.join(" ")));
    }
    // The order of words in an entry depends on its conditions.
    let leading: HashSet<_> = saved
        .of_chain(DNAT)
        .filter(|rule| value_of(rule, "-j") == Some(script.chain()))
        .map(protocol_and_ports)
        .collect();
    let entries = script.entries();
    let lost = entries
        .iter()
        .find(|entry| !leading.contains(&protocol_and_ports(entry)));
    match lost {
        Some(entry) => Some(format!("rule {} not found", entry.join(" "))),
        None => shadow(&saved, &script),
    }
}

fn protocol_and_ports(rule: &[String]) -> (Option<&str>, Option<&str>) {
    (value_of(rule, "-p"), value_of(rule, "--dports"))
}

/// A port that leads to somebody who claimed it later: the first entry has it.
fn shadow(saved: &Saved, script: &Script) -> Option<String> {
    let mut own: HashMap<(&str, u16), Vec<Option<IpAddr>>> = HashMap::new();
    for mapping in script.mappings() {
        // Elements of nf_tables lead from there.
        if mapping.host_ip == Some(Ipv6Addr::LOCALHOST.into()) {
            continue;
        }
        for port in mapping.host_ports() {
            let at = (mapping.protocol.name(), port);
            own.entry(at).or_default().push(mapping.host_ip);
        }
    }
    let mut chains: HashMap<&str, Vec<&[String]>> = HashMap::new();
    for rule in &saved.rules {
        chains.entry(rule[1].as_str()).or_default().push(rule);
    }
    let entries = chains.get(DNAT).map_or(&[][..], Vec::as_slice);
    let mut seen = HashSet::new();
    for entry in entries {
        let Some(to) = value_of(entry, "-j") else {
            continue;
        };
        if to == script.chain() {
            return None;
        }
        // Whom conditions lead elsewhere, this does not tell.
        if entry.len() != WORDS_OF_ENTRY || !seen.insert(to) {
            continue;
        }
        let rules = chains.get(to).map_or(&[][..], Vec::as_slice);
        if let Some((protocol, port)) = rules.iter().find_map(|rule| taken(rule, &own)) {
            let who = value_of(entry, "--comment")
                .unwrap_or(to)
                .trim_start_matches("dnat ");
            return Some(format!(
                "host port {port}/{protocol} is shadowed by another attachment ({who})"
            ));
        }
    }
    None
}

/// The first port that a rule translates and is claimed at no other address than it is.
fn taken<'r>(
    rule: &'r [String],
    own: &HashMap<(&str, u16), Vec<Option<IpAddr>>>,
) -> Option<(&'r str, u16)> {
    value_of(rule, "-j").filter(|target| *target == "DNAT")?;
    let (protocol, ports) = (value_of(rule, "-p")?, value_of(rule, "--dport")?);
    let at: Option<IpAddr> = value_of(rule, "-d")
        .and_then(|net| net.split('/').next())
        .and_then(|ip| ip.parse().ok());
    let (first, last) = ports.split_once(':').unwrap_or((ports, ports));
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    (first..=last).map(|port| (protocol, port)).find(|key| {
        own.get(key)
            .is_some_and(|ips| at.is_none() || ips.contains(&at))
    })
}
