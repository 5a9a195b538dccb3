//! A topology as one JSON document, with every link in full, for programs that read no YAML.

use std::path::Path;

use anyhow::Result;
use netloom_links::Outside;
use netloom_spec::Mac;
use serde_json::{Value, json};

use super::file;
use super::model::{TopoEnd, TopoLink, TopoOther};

pub(super) fn run(path: &Path) -> Result<()> {
    let topology = file::read(path)?;
    let nodes: serde_json::Map<String, Value> = topology
        .nodes
        .iter()
        .map(|(name, node)| {
            let value = json!({ "place": node.kind.at().to_string(), "host": node.host });
            (name.clone(), value)
        })
        .collect();
    let hosts: serde_json::Map<String, Value> = topology
        .hosts
        .iter()
        .map(|(name, host)| {
            let value = json!({ "underlay": host.underlay.to_string(), "mtu": host.mtu });
            (name.clone(), value)
        })
        .collect();
    print_json!(json!({
        "name": topology.name,
        "nodes": nodes,
        "hosts": hosts,
        "links": topology.links.iter().map(link).collect::<Vec<_>>(),
    }));
    Ok(())
}

fn link(link: &TopoLink) -> Value {
    let mut value =
        json!({ "name": link.name, "a": end(&link.near), "vni": link.vni, "port": link.port });
    match &link.other {
        TopoOther::End(other) => value["b"] = end(other),
        TopoOther::Outside(by) => value["outside"] = outside(by),
    }
    value
}

fn end(end: &TopoEnd) -> Value {
    let interface = &end.interface;
    let routes = interface.routes.iter().map(|route| match route.gateway {
        Some(gateway) => format!("{}@{gateway}", route.destination),
        None => route.destination.to_string(),
    });
    json!({
        "node": end.node,
        "interface": interface.name,
        "host": end.host,
        "mac": interface.mac.map(|mac| Mac(mac).to_string()),
        "mtu": interface.mtu,
        "addresses": interface.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "routes": routes.collect::<Vec<_>>(),
        "bridge": interface.bridge,
        "impairment": interface.impairment.to_string(),
    })
}

fn outside(by: &Outside) -> Value {
    let mut value = json!({ "kind": by.kind(), "parent": by.parent() });
    if let Outside::Vxlan(vxlan) = by {
        value["vni"] = json!(vxlan.vni);
        value["remote"] = json!(vxlan.remote.to_string());
        value["port"] = json!(vxlan.port);
    }
    value
}
