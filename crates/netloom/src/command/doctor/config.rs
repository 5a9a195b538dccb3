//! What the configurations name: plugins that are missing or too old, networks in each other's way,
//! and what the kernel must be set to.

use std::fs;

use ipnet::IpNet;
use netloom_plugin::host::{self, HostLink, NetworkView};
use netloom_spec::code;
use serde_json::Value;

use super::finding::Mend;
use super::{Finding, Host, Network, plugins};

pub(super) fn findings(host: &Host) -> Vec<Finding> {
    let mut findings = Vec::new();
    for problem in &host.configured.problems {
        findings.push(Finding {
            kind: "configuration",
            network: problem.network.clone().unwrap_or_default(),
            what: problem.error.to_string(),
            mend: "correct the file".into(),
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
    findings.extend(hindrances(&host.networks));
    findings
}

/// Something that is missing on the host, with the command that provides it if there is one.
fn lacking(network: &Network, kind: &'static str, what: String) -> Finding {
    let command = netloom_plugins::command_for(&what);
    let mend = command.unwrap_or_else(|| "provide what the plugin asks for".to_owned());
    of(network, kind, what, mend)
}

/// What only some pods need, so that STATUS is good without it.
fn kernel(networks: &[Network]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for network in networks {
        for (plugin, conf) in network.configured() {
            let lack = plugin.link_kind(conf).and_then(|kind| match kind {
                Some(kind) => netloom_plugins::lack_of(kind),
                None => Ok(None),
            });
            let lack = lack.unwrap_or_else(|error| Some(error.msg));
            findings.extend(lack.map(|what| lacking(network, "kernel", what)));
        }
    }
    findings
}

fn of(network: &Network, kind: &'static str, what: String, mend: impl Into<Mend>) -> Finding {
    Finding {
        kind,
        network: network.list.name.clone(),
        what,
        mend: mend.into(),
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

/// The bridges that the networks' configurations name.
pub(super) fn bridges(networks: &[Network]) -> Vec<(&Network, String)> {
    let of_network = |network| {
        let bridge = move |link| match link {
            HostLink::Bridge(name) => Some((network, name)),
            HostLink::PerPod(_) => None,
        };
        Network::all_links(network).into_iter().filter_map(bridge)
    };
    networks.iter().flat_map(of_network).collect()
}

/// Two networks that each make one bridge their gateway.
fn two_gateways(networks: &[Network]) -> Vec<Finding> {
    let mut gateways: Vec<(&Network, String)> = Vec::new();
    let mut findings = Vec::new();
    for network in networks {
        for (plugin, conf) in network.configured() {
            let (Some(HostLink::Bridge(name)), true) =
                (plugin.host_link(conf), plugin.is_gateway(conf))
            else {
                continue;
            };
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
        if !network
            .configured()
            .any(|(plugin, conf)| plugin.is_gateway(conf))
        {
            continue;
        }
        for (v4, key) in KEYS {
            let needed = has_subnet(network, v4);
            let file = format!("/proc/sys/{}", key.replace('.', "/"));
            let off = fs::read_to_string(file).is_ok_and(|text| text.trim() == "0");
            if needed && off {
                let what = format!("{key} is 0: its pods reach nothing beyond the host");
                findings.push(of(network, "sysctl", what, host::Mend::sysctl(key, "1")));
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

/// What else keeps pods from working, as the plugins tell.
fn hindrances(networks: &[Network]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for network in networks {
        let link = network.link();
        let view = NetworkView {
            link: link.as_ref(),
            families: [true, false].map(|v4| has_subnet(network, v4)),
        };
        for (plugin, conf) in network.configured() {
            // What the kernel does not show is no finding; STATUS tells what is missing.
            let found = plugin.hindrances(conf, &view).unwrap_or_default();
            let found = found.into_iter();
            findings.extend(found.map(|it| of(network, it.kind, it.what, it.mend)));
        }
    }
    findings
}
