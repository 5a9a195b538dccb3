//! What the configurations name: plugins that are missing or too old, networks in each other's way,
//! and what the kernel must be set to.

use std::fs;
use std::net::IpAddr;

use ipnet::IpNet;
use netloom_kernel::rtnl::{Scope, Socket};
use netloom_kernel::sysctl;
use netloom_plugins::doctor;
use netloom_spec::{PluginConf, code};
use serde_json::Value;

use super::{Finding, Host, Network, plugins};

pub(super) fn findings(host: &Host) -> Vec<Finding> {
    let mut findings = Vec::new();
    for problem in &host.configured.problems {
        findings.push(Finding {
            kind: "configuration",
            network: problem.network.clone().unwrap_or_default(),
            what: problem.error.to_string(),
            mend: "correct the file".to_owned(),
        });
    }
    for network in &host.networks {
        if let Some(problem) = &network.problem {
            let (kind, mend) = match problem.code {
                code::IO | code::INTERNAL | code::TRY_AGAIN_LATER => {
                    ("unreadable", "see what the error says")
                }
                _ => ("configuration", "correct the configuration"),
            };
            findings.push(of(network, kind, problem.to_string(), mend));
            continue;
        }
        let valid = host.cni.validate(&network.list);
        // What the plugins find missing: a master, a device, a kernel's feature, a daemon.
        if valid.is_ok()
            && let Err(error) = host.cni.status(&network.list)
        {
            findings.push(lacking(network, "status", error.to_string()));
        }
        if let Err(error) = valid {
            findings.extend(plugins::findings(network, error));
        }
    }
    findings.extend(overlaps(&host.networks));
    findings.extend(two_gateways(&host.networks));
    findings.extend(forwarding(&host.networks));
    findings.extend(kernel(&host.networks));
    findings.extend(isolation(&host.networks));
    findings.extend(closed_chains(&host.networks));
    findings.extend(service_addresses(&host.networks));
    findings
}

/// Something that is missing on the host, with the command that provides it if there is one.
fn lacking(network: &Network, kind: &'static str, what: String) -> Finding {
    let command = doctor::command_for(&what);
    let mend = command.unwrap_or_else(|| "provide what the plugin asks for".to_owned());
    of(network, kind, what, &mend)
}

/// What only some pods need, so that STATUS is good without it.
fn kernel(networks: &[Network]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for network in networks {
        for conf in &network.list.plugins {
            let lack = doctor::lack_of_kernel(conf).unwrap_or_else(|error| Some(error.msg));
            findings.extend(lack.map(|what| lacking(network, "kernel", what)));
        }
    }
    findings
}

fn of(network: &Network, kind: &'static str, what: String, mend: &str) -> Finding {
    Finding {
        kind,
        network: network.list.name.clone(),
        what,
        mend: mend.to_owned(),
    }
}

/// Subnets of different networks that have addresses in common. With one `dataDir` and another
/// name neither knows what the other gives away.
fn overlaps(networks: &[Network]) -> Vec<Finding> {
    let all: Vec<(&Network, IpNet)> = networks
        .iter()
        .flat_map(|network| subnets(network).into_iter().map(move |net| (network, net)))
        .collect();
    let mut findings = Vec::new();
    for (at, (network, net)) in all.iter().enumerate() {
        for (other, other_net) in &all[at + 1..] {
            let differ = network.list.name != other.list.name;
            if differ && (net.contains(other_net) || other_net.contains(net)) {
                let what = format!("{net} overlaps {other_net} of {}", other.list.name);
                let mend = "give one of them another subnet";
                findings.push(of(network, "conflict", what, mend));
            }
        }
    }
    findings
}

pub(super) fn subnets(network: &Network) -> Vec<IpNet> {
    let mut subnets = Vec::new();
    for conf in &network.list.plugins {
        let Some(ipam) = conf.get("ipam") else {
            continue;
        };
        let mut read = |value: Option<&Value>| {
            let text = value.and_then(Value::as_str);
            subnets.extend(text.and_then(|text| text.parse::<IpNet>().ok()));
        };
        read(ipam.get("subnet"));
        for set in ipam
            .get("ranges")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            for range in set.as_array().into_iter().flatten() {
                read(range.get("subnet"));
            }
        }
    }
    subnets
}

/// The name of the bridge that a plugin makes and, if it gives it addresses, those of its pools.
fn bridge(conf: &PluginConf) -> Option<&str> {
    let named = conf.get("bridge").and_then(Value::as_str);
    (conf.plugin_type() == "bridge").then(|| named.filter(|it| !it.is_empty()).unwrap_or("cni0"))
}

/// The bridges that the networks' configurations name.
pub(super) fn bridges(networks: &[Network]) -> Vec<(&Network, &str)> {
    networks
        .iter()
        .flat_map(|network| {
            let named = network.plugins.iter().filter_map(bridge);
            named.map(move |bridge| (network, bridge))
        })
        .collect()
}

fn is_gateway(conf: &PluginConf) -> bool {
    let on = |key| conf.get(key) == Some(&Value::Bool(true));
    on("isGateway") || on("isDefaultGateway")
}

/// Two networks that each make one bridge their gateway.
fn two_gateways(networks: &[Network]) -> Vec<Finding> {
    let mut gateways: Vec<(&Network, &str)> = Vec::new();
    let mut findings = Vec::new();
    for network in networks {
        for conf in network.list.plugins.iter().filter(|conf| is_gateway(conf)) {
            let Some(name) = bridge(conf) else { continue };
            let other = gateways.iter().find(|(_, bridge)| *bridge == name);
            if let Some((other, _)) =
                other.filter(|(other, _)| other.list.name != network.list.name)
            {
                let what = format!("bridge {name} is the gateway of {} too", other.list.name);
                findings.push(of(
                    network,
                    "conflict",
                    what,
                    "give one of them another bridge",
                ));
            }
            gateways.push((network, name));
        }
    }
    findings
}

/// A gateway forwards. ADD switches it on; somebody may have switched it off since.
fn forwarding(networks: &[Network]) -> Vec<Finding> {
    const KEYS: [(bool, &str); 2] = [
        (true, "net.ipv4.ip_forward"),
        (false, "net.ipv6.conf.all.forwarding"),
    ];
    let mut findings = Vec::new();
    for network in networks.iter().filter(|it| !it.plan.valid.is_empty()) {
        let routes = |conf: &PluginConf| conf.plugin_type() == "ptp" || is_gateway(conf);
        if !network.list.plugins.iter().any(routes) {
            continue;
        }
        for (v4, key) in KEYS {
            let needed = has_subnet(network, v4);
            let file = format!("/proc/sys/{}", key.replace('.', "/"));
            let off = fs::read_to_string(file).is_ok_and(|text| text.trim() == "0");
            if needed && off {
                let what = format!("{key} is 0: its pods reach nothing beyond the host");
                findings.push(of(network, "sysctl", what, &format!("sysctl -w {key}=1")));
            }
        }
    }
    findings
}

/// Whether pods of the network have addresses of the family, as far as the configuration tells.
fn has_subnet(network: &Network, v4: bool) -> bool {
    let subnets = subnets(network);
    subnets.iter().any(|net| net.addr().is_ipv4() == v4)
}

/// The packet filter keeps the pods of one bridge apart only if it sees what the bridge forwards.
fn isolation(networks: &[Network]) -> Vec<Finding> {
    const KEYS: [(bool, &str); 2] = [
        (true, "net.bridge.bridge-nf-call-iptables"),
        (false, "net.bridge.bridge-nf-call-ip6tables"),
    ];
    let isolates = |conf: &PluginConf| {
        let policy = conf.get("ingressPolicy").and_then(Value::as_str);
        conf.plugin_type() == "firewall" && policy == Some("isolated")
    };
    let mut findings = Vec::new();
    for network in networks {
        let mut plugins = network.list.plugins.iter();
        if !plugins.any(isolates) || !network.list.plugins.iter().any(|it| bridge(it).is_some()) {
            continue;
        }
        for (_, key) in KEYS.iter().filter(|(v4, _)| has_subnet(network, *v4)) {
            let (state, mend) = match sysctl::get(&key.replace('.', "/")) {
                Ok(value) if value == "0" => ("0", format!("sysctl -w {key}=1")),
                Err(error) if error.is_absent() => ("missing", "modprobe br_netfilter".to_owned()),
                _ => continue,
            };
            let what = format!(
                "{key} is {state}: ingressPolicy isolated keeps no two pods of one bridge apart"
            );
            findings.push(of(network, "sysctl", what, &mend));
        }
    }
    findings
}

/// A native chain of nftables drops or rejects what the firewall plugin lets pass in its own.
fn closed_chains(networks: &[Network]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for network in networks {
        let plugins = &network.list.plugins;
        let link = plugins.iter().find_map(|conf| match conf.plugin_type() {
            // As the host's ends of its wires are named.
            "ptp" => Some("veth*"),
            _ => bridge(conf),
        });
        let Some(link) = link else { continue };
        let families = [true, false].map(|v4| has_subnet(network, v4));
        for conf in plugins {
            // What the kernel does not show is no finding; STATUS tells what is missing.
            let found = doctor::closed_chain(conf, &[link], families).unwrap_or_default();
            findings.extend(found.map(|(what, mend)| of(network, "firewall", what, &mend)));
        }
    }
    findings
}

/// kube-proxy by IPVS gives every service's address to a link of the host, so that portmap takes them
/// for the host's own, and a service's port for a hostPort.
fn service_addresses(networks: &[Network]) -> Vec<Finding> {
    const LINK: &str = "kube-ipvs0";
    let addresses = || -> netloom_kernel::Result<Vec<IpAddr>> {
        let socket = Socket::open()?;
        let Some(link) = socket.find_link(LINK)? else {
            return Ok(Vec::new());
        };
        let listed = socket.list_addresses(link.index)?.into_iter();
        let global = listed.filter(|it| it.scope == Scope::Universe);
        Ok(global.map(|it| it.address.addr()).collect())
    };
    let addresses = addresses().unwrap_or_default();
    let mut findings = Vec::new();
    for network in networks {
        for conf in &network.list.plugins {
            if conf.plugin_type() != "portmap" {
                continue;
            }
            for (v6, key) in [(false, "conditionsV4"), (true, "conditionsV6")] {
                let service = addresses.iter().find(|ip| ip.is_ipv6() == v6);
                let Some(service) = service.filter(|_| conf.get(key).is_none()) else {
                    continue;
                };
                let what = format!(
                    "hostPorts are led to pods at services' addresses of {LINK} too, as {service}"
                );
                let mend = format!(
                    "spare the services' range by {key}, as docs/plugins/portmap.md has it"
                );
                findings.push(of(network, "conflict", what, &mend));
            }
        }
    }
    findings
}
