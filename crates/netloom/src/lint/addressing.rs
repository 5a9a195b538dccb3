//! Addresses that cannot serve each other: NL301 (a gateway outside its subnet), NL302 (a gateway that
//! is the network's or broadcast address), NL303 (a route by a gateway that no subnet reaches).

use std::net::IpAddr;

use ipnet::IpNet;

use super::document::{Document, Node};
use super::finding::{Finding, Level};

pub(crate) fn findings(document: &Document) -> Vec<Finding> {
    let mut findings = Vec::new();
    let plugins = document.root.entry("plugins").map(|it| it.value.elements());
    let plugins: Vec<&Node> =
        plugins.map_or_else(|| vec![&document.root], |it| it.iter().collect());
    for ipam in plugins
        .iter()
        .filter_map(|it| Some(&it.entry_of_any_case("ipam")?.value))
    {
        let mut nets = Vec::new();
        ranges(ipam, &mut nets, &mut findings);
        routes(ipam, &nets, &mut findings);
    }
    findings
}

/// The text of a key, whose value is a string.
fn text<'n>(node: &'n Node, key: &str) -> Option<(&'n str, &'n Node)> {
    let entry = node.entry_of_any_case(key)?;
    let text = entry.text.strip_prefix('"')?.strip_suffix('"')?;
    Some((text, &entry.value))
}

/// Every object with a subnet (host-local) or an address (static), wherever it is in `ipam`.
fn ranges(node: &Node, nets: &mut Vec<IpNet>, findings: &mut Vec<Finding>) {
    let net = text(node, "subnet").or_else(|| text(node, "address"));
    if let Some(net) = net.and_then(|(text, _)| text.parse::<IpNet>().ok()) {
        nets.push(net);
        findings.extend(gateway(node, net));
    }
    for entry in node.entries() {
        ranges(&entry.value, nets, findings);
    }
    node.elements()
        .iter()
        .for_each(|element| ranges(element, nets, findings));
}

fn gateway(node: &Node, net: IpNet) -> Option<Finding> {
    let (text, value) = text(node, "gateway")?;
    let gateway: IpAddr = text.parse().ok()?;
    let at = value.span.clone();
    if !net.contains(&gateway) {
        let message = format!("gateway {gateway} is outside {}", net.trunc());
        let finding = Finding::new("NL301", Level::Warning, at, message);
        return Some(
            finding
                .label("pods cannot reach it")
                .help(format!("an address in {}", net.trunc())),
        );
    }
    let IpNet::V4(v4) = net else { return None };
    let is_special = gateway == v4.network() || gateway == v4.broadcast();
    (is_special && v4.prefix_len() < 31).then(|| {
        let message = format!(
            "gateway {gateway} is the network's or the broadcast address of {}",
            net.trunc()
        );
        Finding::new("NL302", Level::Warning, at, message).help("an address of a host")
    })
}

fn routes(ipam: &Node, nets: &[IpNet], findings: &mut Vec<Finding>) {
    let Some(routes) = ipam.entry_of_any_case("routes") else {
        return;
    };
    for route in routes.value.elements() {
        let Some((text, value)) = text(route, "gw") else {
            continue;
        };
        let Ok(gateway) = text.parse::<IpAddr>() else {
            continue;
        };
        let link_local = matches!(gateway, IpAddr::V6(it) if it.is_unicast_link_local());
        let family = |net: &&IpNet| net.addr().is_ipv4() == gateway.is_ipv4();
        let own: Vec<_> = nets.iter().filter(family).collect();
        if link_local || own.is_empty() || own.iter().any(|net| net.contains(&gateway)) {
            continue;
        }
        let known: Vec<_> = own.iter().map(|net| net.trunc().to_string()).collect();
        let message = format!(
            "route by {gateway}, which is in none of the pod's subnets ({})",
            known.join(", ")
        );
        let finding = Finding::new("NL303", Level::Warning, value.span.clone(), message);
        findings.push(finding.label("the kernel refuses a way it cannot reach"));
    }
}
