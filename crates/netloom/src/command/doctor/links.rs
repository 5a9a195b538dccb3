//! Links of the host that no living attachment uses: ports of the networks' bridges, the host's ends
//! of ptp, and bridges without ports.

use std::collections::HashSet;

use anyhow::Result;
use netloom_kernel::rtnl::{Link, LinkKind, Socket};
use netloom_runtime::RuntimeConf;

use super::config::{bridges, subnets};
use super::{Finding, Host, Network, quoted};

pub(super) fn findings(host: &Host) -> Result<Vec<Finding>> {
    let socket = Socket::open()?;
    let links = socket.list_links()?;
    let used = used(host);
    let mut findings = of_bridges(host, &links, &used);
    findings.extend(of_ptp(host, &socket, &links, &used)?);
    Ok(findings)
}

fn of_bridges(host: &Host, links: &[Link], used: &HashSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = HashSet::new();
    for (network, name) in bridges(&host.networks) {
        let is_bridge =
            |link: &&Link| link.name == name && matches!(link.kind, Some(LinkKind::Bridge(..)));
        let Some(bridge) = links.iter().find(is_bridge) else {
            continue;
        };
        if network.plan.disabled || !seen.insert(name) {
            continue;
        }
        let ports: Vec<&Link> = links
            .iter()
            .filter(|link| link.master == Some(bridge.index))
            .collect();
        let strangers = ports.iter().filter(|port| is_stranger(network, port, used));
        findings.extend(strangers.map(|port| veth(network, port, &format!("on {name}"))));
        if ports.is_empty() && network.plan.valid.is_empty() {
            findings.push(Finding {
                kind: "bridge",
                network: network.list.name.clone(),
                what: format!("{name} has no ports"),
                mend: format!("ip link del {}", quoted(name)),
            });
        }
    }
    findings
}

/// The host's ends of ptp have the gateway's address, of a subnet of their network.
fn of_ptp(
    host: &Host,
    socket: &Socket,
    links: &[Link],
    used: &HashSet<String>,
) -> Result<Vec<Finding>> {
    let of_ptp = |network: &&Network| {
        !network.plan.disabled && network.plugins.iter().any(|it| it.plugin_type() == "ptp")
    };
    let networks: Vec<_> = host.networks.iter().filter(of_ptp).collect();
    if networks.is_empty() {
        return Ok(Vec::new());
    }
    let addresses = socket.list_all_addresses()?;
    let mut findings = Vec::new();
    for network in networks {
        let subnets = subnets(network);
        let is_gateway = |link: &Link| {
            let mut own = addresses.iter().filter(|it| it.link == link.index);
            own.any(|it| subnets.iter().any(|net| net.contains(&it.address.addr())))
        };
        let strangers = links.iter().filter(|link| {
            link.master.is_none() && is_stranger(network, link, used) && is_gateway(link)
        });
        findings.extend(strangers.map(|link| veth(network, link, "with a gateway's address")));
    }
    Ok(findings)
}

/// Whether a link looks like a pod's wire, and is no cached attachment's.
fn is_stranger(network: &Network, link: &Link, used: &HashSet<String>) -> bool {
    // A name that the kernel or people give is not one of a pod's wire. A cache file that cannot be
    // read may be about any of them.
    link.is_veth()
        && link.name.starts_with("veth")
        && network.plan.unreadable.is_empty()
        && !used.contains(&link.name)
}

fn veth(network: &Network, link: &Link, place: &str) -> Finding {
    Finding {
        kind: "veth",
        network: network.list.name.clone(),
        what: format!("{} {place}", link.name),
        mend: format!("ip link del {}", quoted(&link.name)),
    }
}

/// The links of the host that the results of cached attachments list. Those of dead ones go with
/// them.
fn used(host: &Host) -> HashSet<String> {
    let stale = host
        .networks
        .iter()
        .flat_map(|network| network.plan.stale.iter().map(|it| &it.attachment));
    let mut used = HashSet::new();
    for it in host.living.iter().chain(stale) {
        let runtime = RuntimeConf::new(&it.container_id, &it.netns, &it.if_name);
        let made = it
            .list()
            .and_then(|list| host.cni.cached_result(&list, &runtime).ok()?);
        let listed = made.map(|made| made.interfaces).unwrap_or_default();
        used.extend(listed.into_iter().map(|link| link.name));
    }
    used
}
