//! Links, addresses, routes, rules and neighbours, as `ip` lists them.

use serde_json::{Value, json};

use super::{Found, Kind, documents, elements, strip, text};

/// Members of a link that change by themselves or that only repeat another one.
const PASSING: [&str; 29] = [
    "ifindex",
    "link_index",
    "link_netnsid",
    "operstate",
    "hello_timer",
    "tcn_timer",
    "topology_change_timer",
    "gc_timer",
    "hold_timer",
    "message_age_timer",
    "forward_delay_timer",
    "topology_change",
    "topology_change_detected",
    "topology_change_ack",
    "config_pending",
    "bridge_id",
    "root_id",
    "designated_port",
    "designated_cost",
    "id",
    "no",
    "state",
    "gso_max_size",
    "gso_max_segs",
    "gso_ipv4_max_size",
    "tso_max_size",
    "tso_max_segs",
    "gro_max_size",
    "gro_ipv4_max_size",
];
/// Flags that follow the carrier, which comes and goes some time after its cause.
const PASSING_FLAGS: [&str; 4] = ["LOWER_UP", "NO-CARRIER", "RUNNING", "M-DOWN"];
const FOREVER: u64 = u32::MAX as u64;

/// What is listed by one `ip`: a process for each would make a snapshot slow.
const BATCH: &str = "address show
route show table all
neighbour show nud permanent
rule show
";

/// Everything `ip` knows about the namespace of the calling thread.
pub(super) fn observe() -> Found {
    let mut lists = list(&["-d", "-batch", "-"], BATCH).into_iter();
    let mut next = || lists.next().map(elements).unwrap_or_default();
    let mut found = Found::new();
    next().into_iter().for_each(|link| links(link, &mut found));
    next()
        .into_iter()
        .for_each(|route| routes(route, &mut found));
    next()
        .into_iter()
        .for_each(|entry| neighbours(entry, &mut found));
    rules("-4", next(), &mut found);
    let lists = list(&["-d", "-6", "rule", "show"], "");
    rules(
        "-6",
        lists.into_iter().flat_map(elements).collect(),
        &mut found,
    );
    found
}

fn list(arguments: &[&str], stdin: &str) -> Vec<Value> {
    let mut all = vec!["-j"];
    all.extend(arguments);
    documents("ip", &all, stdin).unwrap_or_else(|error| panic!("ip {all:?}: {error}"))
}

fn neighbours(mut neighbour: Value, found: &mut Found) {
    strip(&mut neighbour, &["ifindex"]);
    let (address, link) = (text(&neighbour, "dst"), text(&neighbour, "dev"));
    let name = format!("{address} dev {link}");
    found.push((Kind::Neighbour, name, neighbour));
}

fn rules(family: &str, rules: Vec<Value>, found: &mut Found) {
    for (number, rule) in rules.into_iter().enumerate() {
        // Of two equal rules the second gets its number.
        let name = format!("{family} {rule}");
        let twin = found.iter().any(|(_, other, _)| *other == name);
        let name = if twin {
            format!("{name} ({number})")
        } else {
            name
        };
        found.push((Kind::Rule, name, Value::Null));
    }
}

/// One element of `ip address show`: the link and its addresses.
fn links(mut link: Value, found: &mut Found) {
    let name = text(&link, "ifname").to_owned();
    let addresses = elements(link["addr_info"].take());
    if !link["link_netnsid"].is_null() {
        link["link"] = json!("in another namespace");
    }
    if let Some(members) = link.as_object_mut() {
        members.remove("addr_info");
    }
    let mut flags = elements(link["flags"].take());
    flags.retain(|flag| !PASSING_FLAGS.contains(&flag.as_str().unwrap_or_default()));
    flags.sort_by_key(Value::to_string);
    link["flags"] = Value::Array(flags);
    strip(&mut link, &PASSING);
    found.push((Kind::Link, name.clone(), link));
    for mut address in addresses {
        if text(&address, "family") == "inet6" && text(&address, "scope") == "link" {
            continue;
        }
        for life in ["valid_life_time", "preferred_life_time"] {
            if address[life].as_u64() != Some(FOREVER) {
                address[life] = json!("limited");
            }
        }
        strip(&mut address, &["tentative"]);
        address["dev"] = json!(name);
        let text = format!("{}/{}", text(&address, "local"), address["prefixlen"]);
        found.push((Kind::Address, format!("{text} dev {name}"), address));
    }
}

fn routes(mut route: Value, found: &mut Found) {
    let destination = text(&route, "dst");
    let link_local = destination.starts_with("fe80:") || destination == "ff00::/8";
    // Those of the table local follow from the addresses, once these have been looked at for duplicates.
    let by_address = destination.contains(':') && text(&route, "table") == "local";
    if (link_local || by_address) && text(&route, "protocol") == "kernel" {
        return;
    }
    strip(&mut route, &["expires", "ifindex"]);
    let mut flags = elements(route["flags"].take());
    flags.retain(|flag| flag != "linkdown");
    route["flags"] = Value::Array(flags);
    let name = format!(
        "{} table {} {}",
        text(&route, "dst"),
        text(&route, "table"),
        route
    );
    found.push((Kind::Route, name, route));
}
