//! What the attachments of a host share: made once, kept for the next one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Fact, Kind, elements, text};

/// Regular chains that plugins keep for all attachments, as the reference plugins call them.
const KEPT_CHAINS: [&str; 1] = ["inet cni_plugins_masquerade masq_checks"];
/// Built-in chains of iptables, which appear with a table's first use.
const BUILT_IN: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/// The chains of the plugin firewall in iptables, which have the rules of all attachments.
const FIREWALL_CHAINS: [&str; 4] = [
    "CNI-FORWARD",
    "CNI-ADMIN",
    "CNI-ISOLATION-STAGE-1",
    "CNI-ISOLATION-STAGE-2",
];
/// How the comments of its rules begin that serve all attachments.
const FIREWALL_COMMENT: &str = "CNI firewall plugin ";
/// Its table, in which only elements belong to attachments; and the sets of which not even they.
const FIREWALL_TABLE: &str = "inet cni_plugins_firewall ";
const FIREWALL_SETS: [&str; 3] = ["bridges", "within", "isolated"];

/// The table of portmap: the rules of its chains serve all, unless their comment names somebody.
const PORTMAP_TABLE: &str = "cni_hostport";
/// How the names of chains of iptables begin that serve all mapped ports.
const SHARED_IPTABLES_CHAINS: &str = "CNI-HOSTPORT-";

type Facts = BTreeMap<Fact, Value>;

/// Takes shared objects out of `facts`.
pub(super) fn remove(facts: &mut Facts, bridges: &[&str]) {
    forget_forwarding(facts);
    forget_firewall(facts);
    facts.retain(|fact, value| {
        let of_bridge = fact.place == "host" && is_of_bridge(fact, value, bridges);
        let kept = is_kept_file(fact, value) || is_idle_iptables_chain(fact, value);
        !of_bridge && !kept && !is_anycast(fact, value) && !is_rule_of_vrfs(fact)
    });
    remove_idle_nftables(facts);
}

/// The bridge itself and what hangs on it alone.
fn is_of_bridge(fact: &Fact, value: &Value, bridges: &[&str]) -> bool {
    match fact.kind {
        Kind::Link => bridges.contains(&fact.name.as_str()),
        Kind::Sysctl => {
            let last = fact.name.rsplit('/').next().unwrap_or_default();
            bridges.contains(&last)
        }
        Kind::Vlan => bridges.contains(&text(value, "ifname")),
        Kind::Address | Kind::Route | Kind::Neighbour | Kind::Qdisc => {
            bridges.contains(&text(value, "dev"))
        }
        _ => false,
    }
}

/// A host that forwards answers to the anycast address of every subnet router.
fn is_anycast(fact: &Fact, value: &Value) -> bool {
    fact.kind == Kind::Route && text(value, "type") == "anycast"
}

/// The kernel makes it with the first VRF of a namespace and never takes it away.
fn is_rule_of_vrfs(fact: &Fact) -> bool {
    fact.kind == Kind::Rule && fact.name.contains("l3mdev")
}

/// The switches themselves, and what the kernel sets along with them.
fn forget_forwarding(facts: &mut Facts) {
    let sysctls = facts
        .iter_mut()
        .filter(|(fact, _)| fact.kind == Kind::Sysctl);
    for (fact, values) in sysctls {
        let Some(values) = values.as_object_mut().filter(|_| fact.place == "host") else {
            continue;
        };
        for name in ["ip_forward", "forwarding", "mc_forwarding"] {
            values.remove(name);
        }
        if fact.name.starts_with("net/ipv4/conf/") {
            // Forwarding hosts do not accept redirects.
            values.remove("accept_redirects");
        }
    }
}

/// What the plugin firewall makes for all attachments.
fn forget_firewall(facts: &mut Facts) {
    facts.retain(|fact, _| {
        let of_table = fact.name.strip_prefix(FIREWALL_TABLE);
        match (fact.kind, of_table) {
            (Kind::NftChain, Some(_)) => false,
            (Kind::NftSet, Some(set)) => !FIREWALL_SETS.contains(&set),
            _ => true,
        }
    });
    // Whatever the administrators' chain is called, it is the one jumped to from here.
    let admins: BTreeSet<String> = facts
        .iter()
        .filter(|(fact, _)| fact.kind == Kind::NftChain && fact.name.ends_with(" CNI-FORWARD"))
        .flat_map(|(_, value)| elements(value["rules"].clone()))
        .flat_map(|rule| jumps(&rule))
        .collect();
    let is_of_firewall = |chain: &str| FIREWALL_CHAINS.contains(&chain) || admins.contains(chain);
    for (fact, value) in facts.iter_mut() {
        let rules = match fact.kind {
            Kind::NftChain => value["rules"].as_array_mut(),
            Kind::IptablesChain => value.as_array_mut(),
            _ => continue,
        };
        let is_shared = |rule: &Value| match rule.as_str() {
            Some(line) => line.contains(&format!("--comment \"{FIREWALL_COMMENT}")),
            None => {
                text(rule, "comment").starts_with(FIREWALL_COMMENT)
                    || jumps(rule).iter().any(|chain| is_of_firewall(chain))
            }
        };
        rules
            .into_iter()
            .for_each(|rules| rules.retain(|rule| !is_shared(rule)));
    }
    facts.retain(|fact, value| {
        let name = fact.name.rsplit(' ').next().unwrap_or_default();
        let rules = match fact.kind {
            // The comments of iptables' rules cannot be seen in here.
            Kind::NftChain if name.starts_with("CNI-ISOLATION-") => 0,
            Kind::NftChain => elements(value["rules"].clone()).len(),
            Kind::IptablesChain => value.as_array().map_or(0, Vec::len).saturating_sub(1),
            _ => return true,
        };
        rules > 0 || !is_of_firewall(name)
    });
}

/// The chains that a rule jumps or goes to.
fn jumps(rule: &Value) -> Vec<String> {
    let expressions = elements(rule["expr"].clone());
    let targets = expressions.iter().flat_map(|expression| {
        ["jump", "goto"].map(|verdict| text(&expression[verdict], "target").to_owned())
    });
    targets.filter(|target| !target.is_empty()).collect()
}

fn is_kept_file(fact: &Fact, value: &Value) -> bool {
    if fact.kind != Kind::File {
        return false;
    }
    let path = fact.name.as_str();
    let name = path.rsplit('/').next().unwrap_or_default();
    let in_state = path.starts_with("/var/lib/cni");
    // Tuning and dhcp keep theirs in it, for all attachments.
    let is_directory = text(value, "type") == "directory";
    path == "/run/xtables.lock"
        || path.starts_with("/run/cni") && is_directory
        || in_state && (name == "lock" || name.starts_with("last_reserved_ip."))
        || path.starts_with("/var/lib/cni/locks/")
        || in_state && (is_directory || path.contains("/.netloom"))
}

/// A built-in chain or one that serves everybody, in which no rule is an attachment's.
fn is_idle_iptables_chain(fact: &Fact, value: &Value) -> bool {
    let name = fact.name.rsplit(' ').next().unwrap_or_default();
    let serves_all = BUILT_IN.contains(&name) || name.starts_with(SHARED_IPTABLES_CHAINS);
    let idle = |line: &Value| {
        let line = line.as_str().unwrap_or_default();
        let shared = [" -j MARK ", " -j MASQUERADE", " -j DROP"];
        let of_chain = name.starts_with(SHARED_IPTABLES_CHAINS)
            && shared.iter().any(|target| line.contains(target));
        let to_shared = format!(" -j {SHARED_IPTABLES_CHAINS}");
        line.starts_with("policy ") || of_chain || line.contains(&to_shared)
    };
    fact.kind == Kind::IptablesChain && serves_all && elements(value.clone()).iter().all(idle)
}

/// Empty sets and maps; kept chains and base chains none of whose rules is an attachment's; and
/// then tables in which nothing remains.
fn remove_idle_nftables(facts: &mut Facts) {
    facts.retain(|fact, value| {
        let empty = |member: &str| elements(value[member].clone()).is_empty();
        match fact.kind {
            Kind::NftSet => !empty("elem"),
            Kind::NftChain if text(value, "table") == PORTMAP_TABLE => {
                let rules = elements(value["rules"].clone());
                // Upstream's have the container's id; ours name the set or the chain they lead to.
                let comments = rules.iter().map(|rule| text(rule, "comment"));
                comments
                    .filter(|comment| !comment.is_empty())
                    .any(|comment| {
                        !["subnets", "if-"]
                            .iter()
                            .any(|own| comment.starts_with(own))
                    })
            }
            Kind::NftChain if text(value, "name").starts_with(SHARED_IPTABLES_CHAINS) => {
                let rules = elements(value["rules"].clone());
                rules
                    .iter()
                    .flat_map(jumps)
                    .any(|to| to.starts_with("CNI-DN-"))
            }
            Kind::NftChain => {
                let kept = KEPT_CHAINS.contains(&fact.name.as_str());
                let own = !kept && value["hook"].is_null();
                own || !elements(value["rules"].clone()).iter().all(is_static)
            }
            _ => true,
        }
    });
    let used: BTreeSet<(String, String)> = facts
        .iter()
        .filter(|(fact, _)| matches!(fact.kind, Kind::NftChain | Kind::NftSet | Kind::NftObject))
        .map(|(fact, value)| {
            let table = format!("{} {}", text(value, "family"), text(value, "table"));
            (fact.place.clone(), table)
        })
        .collect();
    facts.retain(|fact, _| {
        fact.kind != Kind::NftTable || used.contains(&(fact.place.clone(), fact.name.clone()))
    });
}

/// A rule that looks the packet up in a set or map, or one without a comment, hence without an
/// owner, that only lets packets pass or sends them to a kept chain.
fn is_static(rule: &Value) -> bool {
    let expressions = elements(rule["expr"].clone());
    let has = |name: &str| {
        expressions
            .iter()
            .any(|expression| expression.get(name).is_some())
    };
    let targets = jumps(rule);
    let to_kept = KEPT_CHAINS.iter().any(|chain| {
        let name = chain.rsplit(' ').next().unwrap_or_default();
        targets.iter().any(|target| target == name)
    });
    let to_shared = targets
        .iter()
        .any(|target| target.starts_with(SHARED_IPTABLES_CHAINS));
    looks_up(&expressions)
        || rule["comment"].is_null() && (has("return") || has("accept") || to_kept || to_shared)
}

/// A map, or a set by its name: whose elements tell the owners.
fn looks_up(expressions: &[Value]) -> bool {
    expressions.iter().any(|expression| {
        let right = text(&expression["match"], "right");
        expression.get("vmap").is_some() || right.starts_with('@')
    })
}
