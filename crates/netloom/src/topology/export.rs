//! A topology of pods as the JSON that the plugin `ratchet` reads.

use std::path::Path;

use anyhow::{Result, bail};
use netloom_links::Interface;
use netloom_spec::Mac;
use serde_json::{Map, Value, json};

use super::file;
use super::model::{NodeKind, TopoEnd, TopoLink, TopoOther, Topology};
use crate::links::at::At;

pub(super) fn run(path: &Path) -> Result<()> {
    let topology = file::read(path)?;
    let links = topology.links.iter().map(|link| export(&topology, link));
    let links = links.collect::<Result<Vec<_>>>()?;
    let hosts: Map<String, Value> = topology
        .hosts
        .iter()
        .map(|(name, host)| {
            (
                name.clone(),
                json!({ "underlay": host.underlay.to_string() }),
            )
        })
        .collect();
    print_json!(json!({ "links": links, "hosts": hosts }));
    Ok(())
}

fn export(topology: &Topology, link: &TopoLink) -> Result<Value> {
    let TopoOther::End(far) = &link.other else {
        bail!(
            "{}:{}",
            topology.path.display(),
            link.node
                .fault("the link leads outside; ratchet links pods to each other")
        );
    };
    let near = &link.near;
    let mut value = Map::new();
    let mut set = |key: &str, it: Value| {
        let is_empty = it.is_null() || it == "" || it == json!([]);
        if !is_empty {
            value.insert(key.to_owned(), it);
        }
    };
    set("pod", pod(topology, link, near)?.into());
    set("if", near.interface.name.clone().into());
    set("peer", pod(topology, link, far)?.into());
    set("peerIf", far.interface.name.clone().into());
    set("addresses", addresses(&near.interface));
    set("peerAddresses", addresses(&far.interface));
    set("mac", mac(&near.interface));
    set("peerMac", mac(&far.interface));
    set("mtu", json!(near.interface.mtu));
    set("routes", routes(&near.interface));
    set("peerRoutes", routes(&far.interface));
    set("host", json!(host(topology, near)));
    set("peerHost", json!(host(topology, far)));
    set("vni", json!(link.vni));
    Ok(Value::Object(value))
}

/// The pod of an end, as `namespace/name`.
fn pod(topology: &Topology, link: &TopoLink, end: &TopoEnd) -> Result<String> {
    match topology.nodes.get(&end.node).map(|node| &node.kind) {
        Some(NodeKind::There(At::Cri(namespace, pod))) => Ok(format!("{namespace}/{pod}")),
        _ => bail!(
            "{}:{}",
            topology.path.display(),
            link.node.fault(format!(
                "{} is no pod, and ratchet links only pods; say `attach: cri:NAMESPACE/POD`",
                end.node
            ))
        ),
    }
}

fn host<'t>(topology: &'t Topology, end: &'t TopoEnd) -> Option<&'t str> {
    let node = topology
        .nodes
        .get(&end.node)
        .and_then(|node| node.host.as_deref());
    end.host.as_deref().or(node)
}

fn addresses(interface: &Interface) -> Value {
    interface
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn mac(interface: &Interface) -> Value {
    interface.mac.map(|mac| Mac(mac).to_string()).into()
}

fn routes(interface: &Interface) -> Value {
    let route = |route: &netloom_links::Route| match route.gateway {
        Some(gateway) => json!({ "dst": route.destination.to_string(), "gw": gateway.to_string() }),
        None => json!({ "dst": route.destination.to_string() }),
    };
    interface.routes.iter().map(route).collect()
}
