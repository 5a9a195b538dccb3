//! Attachments whose container lives and has no link any more.

use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::Socket;
use netloom_runtime::{CachedAttachment, RuntimeConf};
use netloom_spec::AddResult;

use super::finding::Finding;
use super::{Host, quoted};

pub(super) fn findings(host: &Host) -> Vec<Finding> {
    let lost = host.living.iter().filter(|it| has_lost(host, it));
    lost.map(|it| Finding {
        kind: "missing link",
        network: it.network.clone(),
        what: format!(
            "{} has no {} in {}, which it was given, nor an address of it",
            it.container_id, it.if_name, it.netns
        ),
        mend: format!(
            "then add the container again: netloom del {} {} --container-id {} --ifname {}",
            quoted(&it.network),
            quoted(&it.netns),
            quoted(&it.container_id),
            quoted(&it.if_name)
        )
        .into(),
    })
    .collect()
}

/// Only if that is certain: a container may give its link another name.
fn has_lost(host: &Host, it: &CachedAttachment) -> bool {
    let runtime = RuntimeConf::new(&it.container_id, &it.netns, &it.if_name);
    let made = it
        .list()
        .and_then(|list| host.cni.cached_result(&list, &runtime).ok()?);
    let Some(made) = made.filter(|made| lists_link(made, &it.if_name)) else {
        return false;
    };
    let look = || -> Option<bool> {
        let inside = Socket::open_in(&Netns::open(&it.netns).ok()?).ok()?;
        if inside.find_link(&*it.if_name).ok()?.is_some() {
            return Some(false);
        }
        let present = inside.list_all_addresses().ok()?;
        let has = |given: &netloom_spec::IpConfig| {
            let mut present = present.iter().map(|it| it.address.addr());
            present.any(|address| address == given.address.addr())
        };
        Some(!made.ips.iter().any(has))
    };
    look().unwrap_or(false)
}

fn lists_link(made: &AddResult, name: &str) -> bool {
    let mut links = made.interfaces.iter();
    links.any(|link| link.name == name && !link.sandbox.is_empty())
}
