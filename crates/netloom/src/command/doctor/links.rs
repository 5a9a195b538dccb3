//! Links of the host that no living attachment uses: ports of the networks' bridges, the host's ends
//! of links that each pod has of its own, and bridges without ports.

use std::collections::HashSet;

use anyhow::Result;
use netloom_kernel::rtnl::{Address, Link, LinkKind, Socket};
use netloom_plugin::host::HostLink;
use netloom_plugins::identity;
use netloom_runtime::RuntimeConf;

use super::config::{bridges, subnets};
use super::finding::IDLE_BRIDGE;
use super::{Finding, Host, Network, quoted};

pub(super) fn findings(host: &Host) -> Result<Vec<Finding>> {
    let socket = Socket::open()?;
    let links = socket.list_links()?;
    let used = Used::of(host, &socket);
    let mut findings = of_bridges(host, &links, &used);
    findings.extend(of_pods(host, &socket, &links, &used)?);
    Ok(findings)
}

fn of_bridges(host: &Host, links: &[Link], used: &Used<'_>) -> Vec<Finding> {
    let bridges = bridges(&host.networks);
    let mut findings = Vec::new();
    let mut seen = HashSet::new();
    for (network, name) in &bridges {
        let is_bridge =
            |link: &&Link| link.name == *name && matches!(link.kind, Some(LinkKind::Bridge(..)));
        let Some(bridge) = links.iter().find(is_bridge) else {
            continue;
        };
        if !seen.insert(name) {
            continue;
        }
        let sharing = bridges.iter().filter(|(_, other)| other == name);
        let sharing: Vec<&Network> = sharing.map(|(network, _)| *network).collect();
        let ports: Vec<&Link> = links
            .iter()
            .filter(|link| link.master == Some(bridge.index))
            .collect();
        let strangers = ports.iter().filter(|port| used.is_stranger(&sharing, port));
        findings.extend(strangers.map(|port| veth(network, port, &format!("on {name}"))));
        let is_idle = |network: &&Network| !network.plan.disabled && network.plan.valid.is_empty();
        if ports.is_empty() && sharing.iter().all(is_idle) {
            findings.push(Finding {
                kind: IDLE_BRIDGE,
                network: network.list.name.clone(),
                what: format!("{name} has no ports"),
                mend: format!("ip link del {}", quoted(name)).into(),
            });
        }
    }
    findings
}

/// The host's ends of links that each pod has of its own have the gateway's address, of a subnet of their
/// network.
fn of_pods(host: &Host, socket: &Socket, links: &[Link], used: &Used<'_>) -> Result<Vec<Finding>> {
    let is_per_pod = |link: &HostLink| matches!(link, HostLink::PerPod(_));
    let has_any = |network: &&Network| network.all_links().iter().any(is_per_pod);
    let networks: Vec<_> = host.networks.iter().filter(has_any).collect();
    if networks.is_empty() {
        return Ok(Vec::new());
    }
    let addresses = socket.list_all_addresses()?;
    let mut findings = Vec::new();
    for link in links.iter().filter(|link| link.master.is_none()) {
        let is_gateway_of = |network: &&&Network| {
            let (subnets, mut all) = (subnets(network), addresses.iter());
            all.any(|it| {
                let address = it.address.addr();
                it.link == link.index && subnets.iter().any(|net| net.contains(&address))
            })
        };
        let of: Vec<&Network> = networks.iter().filter(is_gateway_of).copied().collect();
        if let Some(network) = of.first()
            && used.is_stranger(&of, link)
        {
            findings.push(veth(network, link, "with a gateway's address"));
        }
    }
    Ok(findings)
}

fn veth(network: &Network, link: &Link, place: &str) -> Finding {
    Finding {
        kind: "veth",
        network: network.list.name.clone(),
        what: format!("{} {place}", link.name),
        mend: format!("ip link del {}", quoted(&link.name)).into(),
    }
}

/// Whether the host's own mark on a wire names an attachment of the network that lives, cached or not.
fn is_of_living(network: &Network, link: &Link) -> bool {
    let mut valid = network.plan.valid.iter();
    valid.any(|it| identity::is_wire_of(&network.list.name, it, link))
}

/// The links of the host that the results of cached attachments list. Those of dead ones go with
/// them.
struct Used<'a> {
    socket: &'a Socket,
    names: HashSet<String>,
    /// The networks with an attachment of which nothing tells the links: results before 0.3.0 list
    /// none, and some cannot be read. Whatever is there may be its.
    untold: HashSet<String>,
    /// One of those is on a network of which nothing tells the bridge.
    is_any_lost: bool,
}

impl<'a> Used<'a> {
    fn of(host: &Host, socket: &'a Socket) -> Self {
        let stale = host
            .networks
            .iter()
            .flat_map(|network| network.plan.stale.iter().map(|it| &it.attachment));
        let (mut names, mut untold) = (HashSet::new(), HashSet::new());
        for it in host.living.iter().chain(stale) {
            let runtime = RuntimeConf::new(&it.container_id, &it.netns, &it.if_name);
            let made = it
                .list()
                .and_then(|list| host.cni.cached_result(&list, &runtime).ok()?);
            let listed = made.map(|made| made.interfaces).unwrap_or_default();
            if listed.is_empty() {
                untold.insert(it.network.clone());
            }
            names.extend(listed.into_iter().map(|link| link.name));
        }
        let is_known = |name: &String| host.networks.iter().any(|it| it.list.name == *name);
        Self {
            socket,
            is_any_lost: !untold.iter().all(is_known),
            names,
            untold,
        }
    }

    /// Whether a link looks like a pod's wire, and is no cached attachment's of these networks,
    /// which are all that may have made it.
    fn is_stranger(&self, networks: &[&Network], link: &Link) -> bool {
        // A name that the kernel or people give is not one of a pod's wire. A cache file that
        // cannot be read may be about any of them, and so may others with `disableGC`.
        let is_told = |network: &&Network| {
            !network.plan.disabled
                && network.plan.unreadable.is_empty()
                && !self.untold.contains(&network.list.name)
        };
        link.is_veth()
            && link.name.starts_with("veth")
            && !self.names.contains(&link.name)
            && !self.is_any_lost
            && networks.iter().all(is_told)
            && !networks.iter().any(|network| is_of_living(network, link))
            && !self.leads_to_a_pod(link)
    }

    /// Whether the other end is in use in a namespace that lives, whoever put it there.
    fn leads_to_a_pod(&self, link: &Link) -> bool {
        let (Some(netns), Some(peer)) = (link.lower_netns, link.lower) else {
            return false;
        };
        let is_up = |links: Vec<Link>| links.iter().any(|it| it.index == peer && it.flags.is_up());
        let has_address = |all: Vec<Address>| {
            let mut of_peer = all.iter().filter(|it| it.link == peer);
            of_peer.any(|it| identity::is_global(&it.address))
        };
        // A namespace that has ended meanwhile has none.
        self.socket.list_links_of(netns).is_ok_and(is_up)
            || self
                .socket
                .list_all_addresses_of(netns)
                .is_ok_and(has_address)
    }
}
