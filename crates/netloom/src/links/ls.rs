//! What is there: `link ls` and `link show`.

use anyhow::Result;
use comfy_table::{Table, presets};
use netloom_kernel::rtnl::{Link, LinkKind};
use netloom_links::{Mirror, Place, impairment_of, is_mark, mark_prefix};
use netloom_spec::{Mac, terminal};
use serde_json::{Value, json};

use super::endpoint::Endpoint;
use super::places::everywhere;
use super::verbs::ours;
use crate::configured::cni;
use crate::options::Options;

pub(super) fn run(options: &Options, topology: Option<&str>) -> Result<()> {
    let prefix = topology.map(mark_prefix);
    let is_wanted = |link: &&Link| {
        let mut marks = link.alternative_names.iter().filter(|name| is_mark(name));
        marks.any(|mark| {
            prefix
                .as_ref()
                .is_none_or(|prefix| mark.starts_with(prefix))
        })
    };
    let mut found = Vec::new();
    for place in everywhere(&cni(options))? {
        let links = place.socket().list_links()?;
        for link in links.iter().filter(is_wanted) {
            found.push(describe(&place, link)?);
        }
    }
    print(options, &found);
    Ok(())
}

/// Prints ends, as a table or as JSON.
pub(crate) fn print(options: &Options, found: &[Value]) {
    if options.json {
        print_json!(Value::from(found));
    } else {
        print_table(found);
    }
}

pub(super) fn show(options: &Options, end: &str) -> Result<()> {
    let end = Endpoint::parse(end)?;
    let place = end.at.open(&cni(options))?;
    let found = describe(&place, &ours(&place, &end)?)?;
    if options.json {
        print_json!(found);
        return Ok(());
    }
    if let Value::Object(members) = &found {
        for (key, value) in members {
            let words = match value {
                Value::String(text) => text.clone(),
                Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(" "),
                other => other.to_string(),
            };
            if !words.is_empty() {
                say!("{key:<12} {}", terminal::one_line(&words));
            }
        }
    }
    Ok(())
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// The topology and the link, as the alias tells them. Only words: whose a link is, its mark tells.
fn names(link: &Link) -> (String, String) {
    let alias = link.alias.as_deref().unwrap_or_default();
    let mut words = alias.splitn(3, ' ');
    let (Some("netloom"), Some(topology), Some(rest)) = (words.next(), words.next(), words.next())
    else {
        return Default::default();
    };
    let name = rest.rsplit_once(' ').map_or(rest, |(name, _)| name);
    (topology.to_owned(), name.to_owned())
}

/// An end, as JSON.
pub(crate) fn describe(place: &Place, link: &Link) -> Result<Value> {
    let (topology, name) = names(link);
    let addresses = place.socket().list_addresses(link.index)?;
    let addresses = addresses
        .iter()
        .filter(|it| it.scope != netloom_kernel::rtnl::Scope::Link);
    let addresses: Vec<String> = addresses.map(|it| it.address.to_string()).collect();
    let mirrors = Mirror::list(place, link.index).unwrap_or_default();
    let mirrors = mirrors.into_iter().map(|(direction, to)| {
        let to = to.unwrap_or_else(|| "an interface that is gone".into());
        format!("{direction:?} to {to}").to_lowercase()
    });
    let impairment = impairment_of(place, link.index).map(|it| it.to_string());
    let impairment = impairment.unwrap_or_else(|_| "not ours".into());
    Ok(json!({
        "topology": topology,
        "link": name,
        "end": format!("{place}/{}", link.name),
        "kind": kind(link),
        "state": if link.is_operational() { "up" } else { "down" },
        "mtu": link.mtu,
        "mac": link.mac.map(|mac| Mac(mac).to_string()),
        "addresses": addresses,
        "impairment": impairment,
        "mirrors": mirrors.collect::<Vec<_>>(),
    }))
}

/// The kind, with what tells where it leads.
fn kind(link: &Link) -> String {
    match &link.kind {
        Some(LinkKind::Vxlan(vxlan)) => {
            let to = vxlan
                .remote
                .map_or_else(|| "nobody".into(), |ip| ip.to_string());
            let port = vxlan.port.unwrap_or_default();
            format!("vxlan {} to {to} port {port}", vxlan.vni)
        }
        Some(LinkKind::Vlan { id, .. }) => format!("vlan {id}"),
        Some(other) => other.name().to_owned(),
        None => "device".to_owned(),
    }
}

fn print_table(found: &[Value]) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "TOPOLOGY",
        "LINK",
        "END",
        "KIND",
        "STATE",
        "MTU",
        "ADDRESSES",
    ]);
    let mut rows: Vec<Vec<String>> = found.iter().map(row).collect();
    rows.sort();
    for row in rows {
        table.add_row(row);
    }
    println!("{table}");
}

fn row(it: &Value) -> Vec<String> {
    let text = |key: &str| terminal::one_line(it[key].as_str().unwrap_or_default()).into_owned();
    let addresses: Vec<String> = it["addresses"]
        .as_array()
        .into_iter()
        .flatten()
        .map(plain)
        .collect();
    vec![
        text("topology"),
        text("link"),
        text("end"),
        text("kind"),
        text("state"),
        it["mtu"].to_string(),
        addresses.join(" "),
    ]
}
