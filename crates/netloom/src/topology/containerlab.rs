//! Reads what containerlab calls a topology: nodes with kinds, and links.

use super::link::{self, Defaults};
use super::model::{NodeKind, TopoNode, Topology};
use super::names;
use super::yaml::{Fields, Node, Result};
use crate::links::at::At;

/// Kinds that are namespaces of ours here.
const PLAIN: [&str; 1] = ["linux"];

pub(super) fn read(topology: &mut Topology, node: &Node) -> Result<()> {
    let mut fields = node.map("topology")?;
    // What kinds say of images and files concerns no link.
    fields.take("kinds");
    let defaults = Inherited {
        defaults: fields.take("defaults"),
        groups: fields.take("groups"),
    };
    let nodes = fields.need("nodes")?;
    for (name, key, value) in nodes.map("nodes")?.rest() {
        names::node(name, key)?;
        let node = one(topology, &defaults, name, key, value)?;
        topology.nodes.insert(name.to_owned(), node);
    }
    if let Some(links) = fields.take("links") {
        for node in links.list("links")? {
            let link = link::read(topology, node, Defaults::CONTAINERLAB)?;
            topology.links.push(link);
        }
    }
    fields.finish("defaults, kinds, groups, nodes and links")
}

/// Where a node has its kind from, if it does not say it.
struct Inherited<'n> {
    defaults: Option<&'n Node>,
    groups: Option<&'n Node>,
}

impl Inherited<'_> {
    fn kind(&self, group: Option<&str>) -> Result<Option<String>> {
        let of = |node: Option<&Node>, what: &str| -> Result<Option<String>> {
            let Some(node) = node else { return Ok(None) };
            Ok(node.map(what)?.text("kind")?.map(str::to_owned))
        };
        let group = match (self.groups, group) {
            (Some(groups), Some(group)) => groups.map("groups")?.take(group),
            _ => None,
        };
        Ok(of(group, "a group")?.or(of(self.defaults, "defaults")?))
    }
}

fn one(
    topology: &mut Topology,
    inherited: &Inherited<'_>,
    name: &str,
    key: &Node,
    value: &Node,
) -> Result<TopoNode> {
    let mut fields = value.map(&format!("node \"{name}\""))?;
    let own = fields.text("kind")?.map(str::to_owned);
    let group = fields.text("group")?;
    let kind = match own {
        Some(kind) => Some(kind),
        None => inherited.kind(group)?,
    };
    let Some(kind) = kind else {
        return Err(key.fault(format!(
            "node \"{name}\" lacks \"kind\", and nothing gives it one"
        )));
    };
    let lab = &topology.name;
    let kind = match kind.as_str() {
        "host" => NodeKind::There(At::Host),
        // A kind of node, no plugin's name.
        "bridge" => NodeKind::Bridge(name.to_owned()),
        "ovs-bridge" => {
            return Err(key.fault(format!(
                "node \"{name}\" is of Open vSwitch, which netloom does not speak"
            )));
        }
        kind if PLAIN.contains(&kind) => NodeKind::Own(format!("{lab}-{name}")),
        // Somebody runs it, under the name that containerlab gives it.
        _ => NodeKind::There(At::Docker(format!("clab-{lab}-{name}"))),
    };
    note(topology, name, fields);
    Ok(TopoNode {
        kind,
        host: None,
        said: key.clone(),
    })
}

/// Notes what a node says and is not done.
fn note(topology: &mut Topology, name: &str, fields: Fields<'_>) {
    let left: Vec<&str> = fields
        .rest()
        .map(|(key, _, _)| key)
        .filter(|key| !["labels", "mgmt-ipv4", "mgmt-ipv6", "position"].contains(key))
        .collect();
    if !left.is_empty() {
        let words = format!(
            "node {name}: {} concern no link and are left out",
            left.join(", ")
        );
        topology.notes.push(words);
    }
}
