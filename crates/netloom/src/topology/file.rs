//! Reads a topology file: nodes, hosts, and links.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, ensure};

use super::containerlab;
use super::link;
use super::model::{NodeKind, TopoHost, TopoLink, TopoNode, Topology};
use super::names;
use super::yaml::{Fields, Node, Result, parse};
use crate::links::at::At;

/// The longest file that is read.
const LONGEST: u64 = 16 << 20;

const KEYS: &str =
    "name, nodes, links and hosts, or containerlab's name, prefix, mgmt and topology";

/// Reads a file. What is wrong with it is told as `FILE:LINE:COLUMN: …`.
pub(super) fn read(path: &Path) -> anyhow::Result<Topology> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("open {shown}"))?;
    let mut text = String::new();
    file.take(LONGEST + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("read {shown}"))?;
    ensure!(
        text.len() as u64 <= LONGEST,
        "{shown} is longer than 16 MiB, which is no topology"
    );
    topology(&text, path).map_err(|fault| anyhow::anyhow!("{shown}:{fault}"))
}

pub(super) fn topology(text: &str, path: &Path) -> Result<Topology> {
    let root = parse(text)?;
    let mut fields = root.map("a topology file")?;
    let name = names::topology(fields.need("name")?)?;
    let mut topology = Topology {
        name,
        nodes: BTreeMap::new(),
        links: Vec::new(),
        hosts: BTreeMap::new(),
        notes: Vec::new(),
        path: path.to_owned(),
    };
    match fields.take("topology") {
        Some(inner) => {
            for other in ["prefix", "mgmt", "settings", "debug"] {
                fields.take(other);
            }
            fields.finish(KEYS)?;
            containerlab::read(&mut topology, inner)?;
        }
        None => {
            own(&mut topology, &mut fields)?;
            fields.finish(KEYS)?;
        }
    }
    unique(&topology)?;
    Ok(topology)
}

/// Our own form.
fn own(topology: &mut Topology, fields: &mut Fields<'_>) -> Result<()> {
    if let Some(hosts) = fields.take("hosts") {
        for (name, key, value) in hosts.map("hosts")?.rest() {
            let host = host(name, value)?;
            if topology
                .hosts
                .values()
                .any(|other| other.underlay == host.underlay)
            {
                let words = format!("host \"{name}\" has the underlay address of another");
                return Err(key.fault(words));
            }
            topology.hosts.insert(name.to_owned(), host);
        }
    }
    if let Some(nodes) = fields.take("nodes") {
        for (name, key, value) in nodes.map("nodes")?.rest() {
            let node = node(topology, name, key, value)?;
            topology.nodes.insert(name.to_owned(), node);
        }
    }
    if let Some(links) = fields.take("links") {
        for node in links.list("links")? {
            let link = link::read(topology, node, link::Defaults::OURS)?;
            topology.links.push(link);
        }
    }
    Ok(())
}

fn host(name: &str, value: &Node) -> Result<TopoHost> {
    let what = format!("host \"{name}\"");
    let mut fields = value.map(&what)?;
    let underlay = fields.need("underlay")?;
    let text = underlay.text("underlay")?;
    let parsed = text.parse();
    let parsed =
        parsed.map_err(|_| underlay.fault(format!("underlay \"{text}\" is no IP address")))?;
    let mtu = fields
        .take("mtu")
        .map(|node| link::number(node, "mtu", 576, 65535))
        .transpose()?;
    fields.finish("underlay and mtu")?;
    Ok(TopoHost {
        underlay: parsed,
        mtu,
    })
}

fn node(topology: &Topology, name: &str, key: &Node, value: &Node) -> Result<TopoNode> {
    names::node(name, key)?;
    let what = format!("node \"{name}\"");
    let mut fields = value.map(&what)?;
    let attach = fields.take("attach");
    let bridge = fields.text("bridge")?;
    let kind = match (attach, bridge) {
        (Some(attach), None) => {
            let at = At::parse(attach.text("attach")?);
            NodeKind::There(at.map_err(|error| attach.fault(format!("attach: {error:#}")))?)
        }
        (None, Some(bridge)) => NodeKind::Bridge(bridge.to_owned()),
        (None, None) => NodeKind::Own(format!("{}-{name}", topology.name)),
        (Some(attach), Some(_)) => {
            return Err(attach.fault(format!("{what} is attached or a bridge, not both")));
        }
    };
    let host = fields
        .take("host")
        .map(|node| names::host(topology, node))
        .transpose()?;
    fields.finish("attach, bridge and host")?;
    Ok(TopoNode {
        kind,
        host,
        said: attach.unwrap_or(key).clone(),
    })
}

/// That no two links have the same name, or want the same interface.
fn unique(topology: &Topology) -> Result<()> {
    let mut names: HashMap<&str, &TopoLink> = HashMap::new();
    let mut ends = HashMap::new();
    for link in &topology.links {
        if names.insert(&link.name, link).is_some() {
            return Err(link
                .node
                .fault(format!("link \"{}\" is there twice", link.name)));
        }
        for end in link.ends() {
            let node = topology.nodes.get(&end.node).map(|node| node.kind.at());
            let at = node.unwrap_or(At::Host);
            if let Some(other) =
                ends.insert((at, &end.interface.name, end.host.as_ref()), &link.name)
            {
                return Err(link.node.fault(format!(
                    "interface \"{}\" of {} is wanted by the link \"{other}\" already",
                    end.interface.name, end.node
                )));
            }
        }
    }
    Ok(())
}
