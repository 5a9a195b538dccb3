//! `list`: the cached attachments.

use std::path::Path;

use anyhow::Result;
use comfy_table::{Table, presets};
use netloom_runtime::{CachedAttachment, Cni, RuntimeConf};
use netloom_spec::{AddResult, terminal};
use serde_json::json;

use crate::cli::OptionalNetwork;
use crate::configured::{cni, find};
use crate::options::Options;

pub(super) fn run(options: &Options, network: &OptionalNetwork) -> Result<()> {
    let cni = cni(options);
    let mut attachments = cni.cached_attachments(None)?;
    attachments.sort_by(|a, b| {
        let key = |it: &CachedAttachment| {
            (
                it.network.clone(),
                it.container_id.clone(),
                it.if_name.clone(),
            )
        };
        key(a).cmp(&key(b))
    });
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
    table.set_header([
        "NETWORK",
        "CONTAINER",
        "INTERFACE",
        "ADDRESSES",
        "AGE",
        "NETNS",
    ]);
    for it in &attachments {
        table.add_row([
            terminal::one_line(&it.network),
            terminal::one_line(short(&it.container_id, &attachments)),
            terminal::one_line(&it.if_name),
            addresses(&cni, it).join(" ").into(),
            age(options, it).unwrap_or_else(|| "?".to_owned()).into(),
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

/// How much of a runtime's id is shown, as docker and podman do.
const SHOWN: usize = 12;
/// Hex digits of the ids that runtimes choose.
const WHOLE: usize = 64;

/// The beginning of a runtime's long id where that tells it from the others; of other ids all.
fn short<'a>(id: &'a str, all: &[CachedAttachment]) -> &'a str {
    let is_long = id.len() == WHOLE && id.bytes().all(|it| it.is_ascii_hexdigit());
    let start = if is_long { &id[..SHOWN] } else { return id };
    let is_clear = all
        .iter()
        .all(|it| it.container_id == id || !it.container_id.starts_with(start));
    if is_clear { start } else { id }
}

/// How long ago it was added: when its cache file was written.
fn age(options: &Options, it: &CachedAttachment) -> Option<String> {
    let file = |between: &str| {
        let name = [&*it.network, &*it.container_id, &*it.if_name].join(between);
        options.cache_dir.join("results").join(name)
    };
    // The second where another attachment has the first name.
    let metadata = ["+", "-"].iter().find_map(|it| file(it).metadata().ok())?;
    let seconds = metadata.modified().ok()?.elapsed().ok()?.as_secs();
    Some(match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    })
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
