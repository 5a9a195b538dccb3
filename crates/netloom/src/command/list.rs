//! `list`: the cached attachments.

use std::path::Path;

use anyhow::Result;
use comfy_table::{Table, presets};
use netloom_runtime::{CachedAttachment, Cni, RuntimeConf};
use netloom_spec::{AddResult, terminal};
use serde_json::json;

use super::network::{cni, find};
use crate::cli::{OptionalNetwork, Options};

pub(super) fn run(options: &Options, network: &OptionalNetwork) -> Result<()> {
    let cni = cni(options);
    let mut attachments = cni.cached_attachments(None)?;
    if let Some(name) = &network.network {
        attachments.retain(|it| it.network == *name);
        if attachments.is_empty()
            && let Err(error) = find(options, name)
        {
            note!("netloom: nothing is attached to network {name:?}, and {error}");
        }
    }
    if options.json {
        let all: Vec<_> = attachments.iter().map(|it| object(&cni, it)).collect();
        print_json!(json!(all));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NETWORK", "CONTAINER", "INTERFACE", "ADDRESSES", "NETNS"]);
    for it in &attachments {
        table.add_row([
            terminal::one_line(&it.network),
            terminal::one_line(&it.container_id),
            terminal::one_line(&it.if_name),
            addresses(&cni, it).join(" ").into(),
            format!(
                "{}{}",
                terminal::one_line(&it.netns),
                if netns_exists(it) { "" } else { " (gone)" }
            )
            .into(),
        ]);
    }
    println!("{table}");
    Ok(())
}

fn object(cni: &Cni, it: &CachedAttachment) -> serde_json::Value {
    json!({
        "network": it.network,
        "containerID": it.container_id,
        "ifname": it.if_name,
        "netns": it.netns,
        "netnsExists": netns_exists(it),
        "addresses": addresses(cni, it),
    })
}

fn netns_exists(it: &CachedAttachment) -> bool {
    Path::new(&it.netns).exists()
}

/// The addresses of the cached result; none if the entry has no result one can read.
pub(super) fn addresses(cni: &Cni, it: &CachedAttachment) -> Vec<String> {
    result(cni, it)
        .map(|result| result.ips.iter().map(|ip| ip.address.to_string()).collect())
        .unwrap_or_default()
}

fn result(cni: &Cni, it: &CachedAttachment) -> Option<AddResult> {
    let list = it.list()?;
    let runtime = RuntimeConf::new(&it.container_id, &it.netns, &it.if_name);
    cni.cached_result(&list, &runtime).ok()?
}
