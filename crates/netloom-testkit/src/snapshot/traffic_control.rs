//! Queueing disciplines and filters, and the VLANs of bridge ports.

use serde_json::{Value, json};

use super::{Found, Kind, documents, elements, strip, text};

/// Disciplines that the kernel gives every link by itself.
pub(super) const DEFAULTS: [&str; 4] = ["noqueue", "pfifo_fast", "fq_codel", "mq"];

/// All disciplines; filters of links that have one that somebody asked for; VLANs, if a
/// bridge filters them.
pub(super) fn observe(filters_vlans: bool) -> Found {
    let mut found = Found::new();
    let mut shaped = Vec::new();
    for mut discipline in list(&["qdisc", "show"]) {
        strip(&mut discipline, &["refcnt"]);
        let (kind, link) = (text(&discipline, "kind"), text(&discipline, "dev"));
        if !DEFAULTS.contains(&kind) && !shaped.iter().any(|known| known == link) {
            shaped.push(link.to_owned());
        }
        let place = match discipline["parent"].as_str() {
            Some(parent) => format!("parent {parent}"),
            None => "root".to_owned(),
        };
        found.push((
            Kind::Qdisc,
            format!("{kind} dev {link} {place}"),
            discipline,
        ));
    }
    for link in shaped {
        filters(&link, &mut found);
    }
    if filters_vlans {
        found.extend(vlans());
    }
    found
}

fn filters(link: &str, found: &mut Found) {
    for side in ["root", "ingress", "egress"] {
        let Ok(listed) = documents("tc", &["-j", "filter", "show", "dev", link, side], "") else {
            continue;
        };
        for (number, filter) in listed.into_iter().flat_map(elements).enumerate() {
            let mut filter = filter;
            strip(&mut filter, &["expires", "installed", "last_used"]);
            filter["dev"] = json!(link);
            let name = format!("{number} dev {link} {side}");
            found.push((Kind::Filter, name, filter));
        }
    }
}

fn list(arguments: &[&str]) -> Vec<Value> {
    let mut all = vec!["-j"];
    all.extend(arguments);
    let documents = documents("tc", &all, "").unwrap_or_else(|error| panic!("tc {all:?}: {error}"));
    documents.into_iter().flat_map(elements).collect()
}

/// The VLANs of every port of every bridge.
fn vlans() -> Found {
    let listed = documents("bridge", &["-j", "vlan", "show"], "").unwrap_or_default();
    let ports = listed.into_iter().flat_map(elements);
    ports
        .map(|port| (Kind::Vlan, format!("dev {}", text(&port, "ifname")), port))
        .collect()
}
