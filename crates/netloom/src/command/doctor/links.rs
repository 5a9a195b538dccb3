//! Links of the host that no living attachment uses: ports of the networks' bridges, and bridges
//! without ports.

use std::collections::HashSet;

use anyhow::Result;
use netloom_kernel::rtnl::{Link, LinkKind, Socket};
use netloom_runtime::RuntimeConf;

use super::config::bridges;
use super::{Finding, Host, quoted};

pub(super) fn findings(host: &Host) -> Result<Vec<Finding>> {
    let links = Socket::open()?.list_links()?;
    let used = used(host);
    let mut findings = Vec::new();
    let mut seen = HashSet::new();
    for (network, name) in bridges(&host.networks) {
        let is_bridge =
            |link: &&Link| link.name == name && matches!(link.kind, Some(LinkKind::Bridge(..)));
        let Some(bridge) = links.iter().find(is_bridge) else {
            continue;
        };
        if !seen.insert(name) {
            continue;
        }
        let ports: Vec<&Link> = links
            .iter()
            .filter(|link| link.master == Some(bridge.index))
            .collect();
        let finding = |kind, what| Finding {
            kind,
            network: network.list.name.clone(),
            what,
            mend: String::new(),
        };
        // A name that the kernel or people give is not one of a pod's wire.
        let strangers = ports
            .iter()
            .filter(|port| port.is_veth() && port.name.starts_with("veth"))
            // A cache file that cannot be read may be about any of them.
            .filter(|port| network.plan.unreadable.is_empty() && !used.contains(&port.name));
        for port in strangers {
            findings.push(Finding {
                mend: format!("ip link del {}", quoted(&port.name)),
                ..finding("veth", format!("{} on {name}", port.name))
            });
        }
        if ports.is_empty() && network.plan.valid.is_empty() {
            findings.push(Finding {
                mend: format!("ip link del {}", quoted(name)),
                ..finding("bridge", format!("{name} has no ports"))
            });
        }
    }
    Ok(findings)
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
