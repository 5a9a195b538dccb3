//! Boxes, keys and words for links.

use std::fmt::Write as _;

use netloom_kernel::rtnl::{Link, LinkKind};
use netloom_observe::map::{Interface, Namespace};
use netloom_spec::Mac;
use serde_json::{Value, json};

use super::{Key, OUTSIDE};
use crate::graph::model::{Column, EdgeKind, Node};

pub(super) fn blank(id: &str, column: Column, kind: &str) -> Node {
    Node {
        id: id.to_owned(),
        column,
        kind: kind.to_owned(),
        title: String::new(),
        notes: Vec::new(),
        ports: Vec::new(),
        problems: Vec::new(),
        facts: Value::Null,
    }
}

pub(super) fn host_key(link: &Link) -> Key {
    let id = format!("host/{}", link.name);
    let is_master = link.is_bridge() || matches!(link.kind, Some(LinkKind::Vrf { .. }));
    match is_master {
        true => (Column::Bridges, 0, id),
        // Hardware first.
        false => (Column::Links, u8::from(link.kind.is_some()), id),
    }
}

pub(super) fn outside_key() -> Key {
    (Column::Outside, 0, OUTSIDE.to_owned())
}

/// Two namespaces may have one name: a container may call itself as it likes.
pub(super) fn pod_key(namespace: &Namespace, at: usize) -> Key {
    (
        Column::Pods,
        0,
        format!("{} {at:08}", natural(&namespace.name)),
    )
}

/// A name that sorts as people count: `pod2` comes before `pod10`.
pub(super) fn natural(name: &str) -> String {
    let mut sortable = String::new();
    let mut digits = String::new();
    let flush = |digits: &mut String, sortable: &mut String| {
        if !digits.is_empty() {
            let _ = write!(sortable, "{digits:0>20}");
            digits.clear();
        }
    };
    for char in name.chars() {
        if char.is_ascii_digit() {
            digits.push(char);
            continue;
        }
        flush(&mut digits, &mut sortable);
        sortable.push(char);
    }
    flush(&mut digits, &mut sortable);
    sortable
}

/// The links of a pod that are shown.
pub(super) fn shown(namespace: &Namespace) -> impl Iterator<Item = &Interface> {
    let links = namespace.links.iter();
    links.filter(|it| !it.link.flags.is_loopback())
}

/// The id and words of what a tunnel leads to.
pub(super) fn remote(link: &Link) -> Option<(String, String)> {
    let Some(LinkKind::Vxlan(vxlan)) = &link.kind else {
        return None;
    };
    let remote = vxlan.remote?;
    Some((format!("outside/{remote}"), remote.to_string()))
}

/// The kind of a link in a few words.
pub(super) fn kind(link: &Link) -> String {
    match &link.kind {
        Some(LinkKind::Vlan { id, .. }) => format!("vlan {id}"),
        Some(LinkKind::Vxlan(vxlan)) => format!("vxlan {}", vxlan.vni),
        Some(LinkKind::Vrf { table }) => format!("vrf table {table}"),
        Some(LinkKind::Tun(Some(tun))) if tun.tap => "tap".to_owned(),
        Some(other) => other.name().to_owned(),
        None => "device".to_owned(),
    }
}

pub(super) fn wire_or_stacked(link: &Link) -> EdgeKind {
    match link.is_veth() {
        true => EdgeKind::Wire,
        false => EdgeKind::Stacked,
    }
}

/// Why nothing passes between these.
pub(super) fn why_dead(ends: &[&Interface]) -> Option<String> {
    let dead = ends.iter().find(|it| !it.link.is_operational())?;
    let name = &dead.link.name;
    Some(match dead.link.flags.is_up() {
        false => format!("{name} is down"),
        true => format!("{name} has no carrier"),
    })
}

/// All that is known of a link.
pub(super) fn facts(it: &Interface) -> Value {
    let link = &it.link;
    json!({
        "name": link.name, "index": link.index, "kind": kind(link),
        "alternativeNames": link.alternative_names, "alias": link.alias,
        "mac": link.mac.map(|mac| Mac(mac).to_string()), "mtu": link.mtu,
        "up": link.flags.is_up(), "operational": link.is_operational(),
        "addresses": it.addresses,
    })
}
