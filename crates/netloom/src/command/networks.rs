//! `networks`: what is configured, by which plugins, and how full the pools are.

use anyhow::Result;
use comfy_table::{Table, presets};
use netloom_plugin::host::Pool;
use netloom_plugin::of_conf;
use netloom_plugins::registry::PLUGINS;
use netloom_runtime::load::{self, NetworkFile};
use netloom_spec::{NetworkName, Version, terminal};
use serde_json::json;

use crate::configured::cni;
use crate::options::Options;

/// One configured network.
struct Row {
    file: NetworkFile,
    plugins: Vec<String>,
    pools: Vec<Pool>,
    attachments: usize,
}

pub(super) fn run(options: &Options) -> Result<()> {
    let directory = load::directory(&options.conf_dir)?;
    let attached = cni(options).cached_attachments(None)?;
    let row = |file: NetworkFile| Row {
        plugins: file
            .list
            .plugins
            .iter()
            .map(|it| it.plugin_type().to_owned())
            .collect(),
        pools: pools(&file),
        attachments: attached
            .iter()
            .filter(|it| it.network == file.list.name)
            .count(),
        file,
    };
    let rows: Vec<Row> = directory.networks.into_iter().map(row).collect();
    for problem in &directory.problems {
        note!("netloom: {}", problem.error);
    }
    if options.json {
        print_json!(json!(rows.iter().map(object).collect::<Vec<_>>()));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "NETWORK",
        "VERSION",
        "PLUGINS",
        "ATTACHED",
        "ADDRESSES",
        "FILE",
    ]);
    for row in &rows {
        let pools = row
            .pools
            .iter()
            .map(|it| format!("{}: {} of {}", it.pool, it.taken, it.size));
        table.add_row([
            terminal::one_line(&row.file.list.name).into_owned(),
            terminal::one_line(&row.file.list.cni_version).into_owned(),
            terminal::one_line(&row.plugins.join(" → ")).into_owned(),
            row.attachments.to_string(),
            pools.collect::<Vec<_>>().join("\n"),
            terminal::one_line(&row.file.path.display().to_string()).into_owned(),
        ]);
    }
    println!("{table}");
    Ok(())
}

/// How full the plugins' pools are; of a configuration that cannot be used nothing is known.
fn pools(file: &NetworkFile) -> Vec<Pool> {
    let Ok(name) = NetworkName::new(&file.list.name) else {
        return Vec::new();
    };
    let version = file.list.cni_version.parse().unwrap_or(Version::LATEST);
    let plugins = file.list.plugins.iter();
    let plugins = plugins.flat_map(|conf| of_conf(PLUGINS, conf).map(move |it| (it, conf)));
    plugins
        .filter_map(|(plugin, conf)| plugin.pools(conf, &name, version).ok())
        .flatten()
        .collect()
}

fn object(row: &Row) -> serde_json::Value {
    // More than a program can count is as good as all it can.
    let count = |number: u128| u64::try_from(number).unwrap_or(u64::MAX);
    let pools = row
        .pools
        .iter()
        .map(|it| json!({"pool": it.pool, "taken": count(it.taken), "size": count(it.size)}));
    json!({
        "name": row.file.list.name,
        "cniVersion": row.file.list.cni_version,
        "plugins": row.plugins,
        "attachments": row.attachments,
        "pools": pools.collect::<Vec<_>>(),
        "file": row.file.path,
    })
}
