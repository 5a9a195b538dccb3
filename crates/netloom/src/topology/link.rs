//! Reads one link: in brief form, or in containerlab's extended one.

use netloom_links::{Impairment, Interface, Outside, Vxlan};

use super::model::{NodeKind, TopoEnd, TopoLink, TopoOther, Topology};
use super::names;
use super::yaml::{Fields, Node, Result, Value};
use crate::links::endpoint::{mac, macvlan_mode, net, route};

const KEYS: &str = "endpoints, name, mtu, impair, host, vni, port, labels and vars, or of containerlab \
                    type, endpoint, host-interface, mode, remote, vni, dst-port, mtu, labels and vars";

/// What a link has that is told nothing.
#[derive(Clone, Copy)]
pub(super) struct Defaults {
    mtu: Option<u32>,
    vxlan_port: u16,
}

impl Defaults {
    pub(super) const OURS: Self = Self {
        mtu: None,
        vxlan_port: Vxlan::PORT,
    };
    pub(super) const CONTAINERLAB: Self = Self {
        mtu: Some(9500),
        vxlan_port: 14789,
    };
}

/// A number in a range.
pub(super) fn number(node: &Node, what: &str, from: u32, to: u32) -> Result<u32> {
    let text = node.text(what)?;
    crate::links::endpoint::number(what, text, from, to).map_err(|error| node.fault(error))
}

pub(super) fn read(topology: &Topology, node: &Node, defaults: Defaults) -> Result<TopoLink> {
    let mut fields = node.map("a link")?;
    let name = fields.text("name")?.map(str::to_owned);
    let mtu = fields
        .take("mtu")
        .map(|node| number(node, "mtu", 68, 65535))
        .transpose()?;
    let vni = fields
        .take("vni")
        .map(|node| number(node, "vni", 1, 0xff_ffff))
        .transpose()?;
    let port = take_port(&mut fields)?;
    fields.take("labels");
    fields.take("vars");
    let kind = fields.take("type");
    let settings = Settings {
        vni,
        port,
        defaults,
    };
    let (mut near, mut other) = match kind {
        None => brief(topology, &mut fields)?,
        Some(kind) => extended(topology, kind, &mut fields, settings)?,
    };
    if let Some(impair) = fields.take("impair") {
        impairments(impair, &mut near, &mut other)?;
    }
    if let Some(hosts) = fields.take("host") {
        place(topology, hosts, &mut near, &mut other)?;
    }
    fields.finish(KEYS)?;
    let is_cable = matches!(other, TopoOther::End(_));
    let mtu = mtu.or(defaults.mtu.filter(|_| is_cable));
    near.interface.mtu = near.interface.mtu.or(mtu);
    if let TopoOther::End(end) = &mut other {
        end.interface.mtu = end.interface.mtu.or(mtu);
    }
    let link = TopoLink {
        name: name.unwrap_or_else(|| default_name(&near, &other)),
        near,
        other,
        vni,
        port,
        node: node.clone(),
    };
    possible(&link)?;
    Ok(link)
}

fn take_port(fields: &mut Fields<'_>) -> Result<Option<u16>> {
    for key in ["port", "dst-port", "udp-port"] {
        if let Some(node) = fields.take(key) {
            return Ok(u16::try_from(number(node, key, 1, 65535)?).ok());
        }
    }
    Ok(None)
}

/// Whether the link can be, as far as the file tells.
fn possible(link: &TopoLink) -> Result<()> {
    for end in link.ends() {
        end.interface.validate().map_err(|error| {
            let (node, name) = (&end.node, &end.interface.name);
            link.node
                .fault(format!("interface \"{name}\" of {node}: {error}"))
        })?;
    }
    if let TopoOther::Outside(outside) = &link.other {
        outside.validate().map_err(|error| link.node.fault(error))?;
    }
    Ok(())
}

fn default_name(near: &TopoEnd, other: &TopoOther) -> String {
    let end = |end: &TopoEnd| format!("{}:{}", end.node, end.interface.name);
    match other {
        TopoOther::End(other) => format!("{}--{}", end(near), end(other)),
        TopoOther::Outside(_) => end(near),
    }
}

/// What the extended form needs beside its own keys.
#[derive(Clone, Copy)]
struct Settings {
    vni: Option<u32>,
    port: Option<u16>,
    defaults: Defaults,
}

/// `endpoints: ["r1:eth1", "r2:eth1"]`.
fn brief(topology: &Topology, fields: &mut Fields<'_>) -> Result<(TopoEnd, TopoOther)> {
    let endpoints = fields.need("endpoints")?;
    let (first, second) = match endpoints.list("endpoints")? {
        [first, second] => (first, second),
        other => {
            return Err(endpoints.fault(format!("a link has two endpoints, not {}", other.len())));
        }
    };
    let near = end(topology, first)?;
    let text = match &second.value {
        Value::Text(text) => text.as_str(),
        _ => "",
    };
    let other = match text.split_once(':') {
        Some(("macvlan", parent)) if !topology.nodes.contains_key("macvlan") => {
            let mode = Default::default();
            TopoOther::Outside(Outside::Macvlan {
                parent: parent.to_owned(),
                mode,
            })
        }
        Some(("mgmt-net", _)) => {
            return Err(second.fault(
                "mgmt-net is containerlab's own network; name a bridge of the host instead",
            ));
        }
        // A kind of link, no plugin's name.
        None if text == "dummy" => TopoOther::Outside(Outside::Dummy),
        _ => TopoOther::End(end(topology, second)?),
    };
    Ok((near, other))
}

/// `r1:eth1`, with addresses behind one more colon, or a map.
fn end(topology: &Topology, node: &Node) -> Result<TopoEnd> {
    if let Value::Map(_) = node.value {
        return extended_end(topology, node);
    }
    let text = node.text("an endpoint")?;
    let mut parts = text.splitn(3, ':');
    let (name, interface) = match (parts.next(), parts.next()) {
        (Some(name), Some(interface)) if !interface.is_empty() => (name, interface),
        _ => {
            return Err(node.fault(format!(
                "endpoint \"{}\" is not NODE:INTERFACE, such as r1:eth1",
                text.escape_debug()
            )));
        }
    };
    let mut interface = Interface {
        name: interface.to_owned(),
        ..Interface::default()
    };
    for address in parts.next().into_iter().flat_map(|list| list.split(',')) {
        let address = net("address", address).map_err(|error| node.fault(error))?;
        interface.addresses.push(address);
    }
    known(topology, name, node)?;
    Ok(finish_end(topology, name, interface))
}

/// Names the bridge that an end is a port of.
fn finish_end(topology: &Topology, name: &str, mut interface: Interface) -> TopoEnd {
    if let Some(NodeKind::Bridge(bridge)) = topology.nodes.get(name).map(|node| &node.kind) {
        interface.bridge = Some(bridge.clone());
    }
    TopoEnd {
        node: name.to_owned(),
        interface,
        host: None,
    }
}

fn known(topology: &Topology, name: &str, node: &Node) -> Result<()> {
    if name == "host" || topology.nodes.contains_key(name) {
        return Ok(());
    }
    let nodes: Vec<&str> = topology.nodes.keys().map(String::as_str).take(8).collect();
    Err(node.fault(format!(
        "there is no node \"{}\"; nodes has {}{}",
        name.escape_debug(),
        nodes.join(", "),
        if topology.nodes.len() > 8 { " …" } else { "" }
    )))
}

/// `{ node: r1, interface: eth1, mac: …, ipv4: …, ipv6: …, routes: […] }`.
fn extended_end(topology: &Topology, node: &Node) -> Result<TopoEnd> {
    let mut fields = node.map("an endpoint")?;
    let name_node = fields.need("node")?;
    let name = name_node.text("node")?;
    known(topology, name, name_node)?;
    let interface = fields.need("interface")?.text("interface")?;
    let mut interface = Interface {
        name: interface.to_owned(),
        ..Interface::default()
    };
    if let Some(node) = fields.take("mac") {
        let parsed = mac(node.text("mac")?).map_err(|error| node.fault(error))?;
        interface.mac = Some(parsed);
    }
    if let Some(node) = fields.take("mtu") {
        interface.mtu = Some(number(node, "mtu", 68, 65535)?);
    }
    for key in ["ipv4", "ipv6", "addresses"] {
        for node in one_or_more(fields.take(key)) {
            let address = net(key, node.text(key)?).map_err(|error| node.fault(error))?;
            if key == "ipv4" && !address.addr().is_ipv4()
                || key == "ipv6" && address.addr().is_ipv4()
            {
                return Err(
                    node.fault(format!("{key} \"{address}\" is of the other version of IP"))
                );
            }
            interface.addresses.push(address);
        }
    }
    for node in one_or_more(fields.take("routes")) {
        let parsed =
            route(node.text("routes")?).map_err(|error| node.fault(format!("{error:#}")))?;
        interface.routes.push(parsed);
    }
    fields.take("vars");
    fields.finish("node, interface, mac, mtu, ipv4, ipv6, addresses and routes")?;
    Ok(finish_end(topology, name, interface))
}

fn one_or_more(node: Option<&Node>) -> &[Node] {
    match node {
        None => &[],
        Some(Node {
            value: Value::List(list),
            ..
        }) => list,
        Some(node) => std::slice::from_ref(node),
    }
}

/// `type: …` with what belongs to it.
fn extended(
    topology: &Topology,
    kind: &Node,
    fields: &mut Fields<'_>,
    settings: Settings,
) -> Result<(TopoEnd, TopoOther)> {
    let word = kind.text("type")?;
    if word == "veth" {
        return brief(topology, fields);
    }
    let near = extended_end(topology, fields.need("endpoint")?)?;
    let other = match word {
        // A kind of link, no plugin's name.
        "dummy" => TopoOther::Outside(Outside::Dummy),
        "host" => {
            let name = fields.need("host-interface")?.text("host-interface")?;
            on_host(name.to_owned(), None)
        }
        // A kind of link, no plugin's name.
        "bridge" => {
            let bridge = fields.need("bridge")?.text("bridge")?.to_owned();
            let name = match fields.text("host-interface")? {
                Some(name) => name.to_owned(),
                None => format!("{}-{}", near.node, near.interface.name),
            };
            on_host(name, Some(bridge))
        }
        // A kind of link, no plugin's name.
        "macvlan" => TopoOther::Outside(macvlan(fields)?),
        // Its other end is at the host there, stitched to the node; here the node has it at once.
        "vxlan" | "vxlan-stitch" => TopoOther::Outside(Outside::Vxlan(vxlan(fields, settings)?)),
        "mgmt-net" => {
            return Err(kind.fault("mgmt-net is containerlab's own network; use type bridge"));
        }
        _ => {
            return Err(kind.fault(format!(
                "type \"{}\" is none of a link; it is veth, host, bridge, macvlan, vxlan, \
                 vxlan-stitch or dummy",
                word.escape_debug()
            )));
        }
    };
    Ok((near, other))
}

/// The end on the host, and the bridge that it is a port of.
fn on_host(name: String, bridge: Option<String>) -> TopoOther {
    let interface = Interface {
        name,
        bridge,
        ..Interface::default()
    };
    TopoOther::End(TopoEnd {
        node: "host".into(),
        interface,
        host: None,
    })
}

fn macvlan(fields: &mut Fields<'_>) -> Result<Outside> {
    let parent = fields.need("host-interface")?.text("host-interface")?;
    let mode = match fields.take("mode") {
        Some(node) => macvlan_mode(node.text("mode")?).map_err(|error| node.fault(error))?,
        None => Default::default(),
    };
    Ok(Outside::Macvlan {
        parent: parent.to_owned(),
        mode,
    })
}

fn vxlan(fields: &mut Fields<'_>, settings: Settings) -> Result<Vxlan> {
    let remote = fields.need("remote")?;
    let text = remote.text("remote")?;
    let address = text.parse();
    let address =
        address.map_err(|_| remote.fault(format!("remote \"{text}\" is no IP address")))?;
    let Some(vni) = settings.vni else {
        return Err(fields.at.fault("a link of type vxlan lacks \"vni\""));
    };
    fields.take("src-port");
    let mut vxlan = Vxlan::to(address, vni);
    vxlan.port = settings.port.unwrap_or(settings.defaults.vxlan_port);
    if let Some(node) = fields.take("parent-interface") {
        vxlan.device = Some(node.text("parent-interface")?.to_owned());
    }
    Ok(vxlan)
}

/// `impair: { delay: … }` for both ends, or `{ a: {…}, b: {…} }`.
fn impairments(node: &Node, near: &mut TopoEnd, other: &mut TopoOther) -> Result<()> {
    let mut fields = node.map("impair")?;
    let (a, b) = (fields.take("a"), fields.take("b"));
    let mut both = Impairment::default();
    impairment(fields, &mut both)?;
    let of = |node: Option<&Node>| {
        let mut own = both;
        node.map_or(Ok(()), |node| impairment(node.map("impair")?, &mut own))?;
        Ok(own)
    };
    near.interface.impairment = of(a)?;
    match (other, b) {
        (TopoOther::End(end), b) => end.interface.impairment = of(b)?,
        (TopoOther::Outside(_), Some(b)) => {
            return Err(b.fault("the link has one end here, a"));
        }
        (TopoOther::Outside(_), None) => {}
    }
    Ok(())
}

fn impairment(fields: Fields<'_>, impairment: &mut Impairment) -> Result<()> {
    for (name, key, value) in fields.rest() {
        // An unknown name is wrong at its key, a value at itself.
        let is_known = ["delay", "jitter", "loss", "duplicate", "corrupt", "rate"].contains(&name);
        let place = if is_known { value } else { key };
        impairment
            .set(name, value.text(name)?)
            .map_err(|error| place.fault(error))?;
    }
    Ok(())
}

/// `host: { r2: hostA, r3: hostB }`.
fn place(
    topology: &Topology,
    node: &Node,
    near: &mut TopoEnd,
    other: &mut TopoOther,
) -> Result<()> {
    let mut fields = node.map("host")?;
    let mut set = |end: &mut TopoEnd| -> Result<()> {
        if let Some(node) = fields.take(&end.node) {
            end.host = Some(names::host(topology, node)?);
        }
        Ok(())
    };
    set(near)?;
    if let TopoOther::End(end) = other {
        set(end)?;
    }
    fields.finish("the nodes of the link")
}
