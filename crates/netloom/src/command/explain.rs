//! `explain`: what a key of a plugin means, as the reference pages tell it.

use anyhow::{Result, bail};
use comfy_table::{Table, presets};
use netloom_plugins::registry::PLUGINS;
use serde_json::json;

use crate::cli::Explain;
use crate::keys::{self, Key};
use crate::near::nearest;
use crate::options::Options;

pub(super) fn run(options: &Options, explain: &Explain) -> Result<()> {
    let (plugin, key) = match explain.what.split_once('.') {
        Some((plugin, key)) => (plugin, Some(key)),
        None => (explain.what.as_str(), None),
    };
    let names = || PLUGINS.iter().map(|it| it.name());
    if !names().any(|name| name == plugin) {
        // Perhaps it is a key alone.
        let everywhere: Vec<Key> = keys::all().filter(|it| is(it.name, plugin)).collect();
        if key.is_some() || everywhere.is_empty() {
            bail!("no plugin {plugin:?}{}", meant(plugin, names()));
        }
        return show(options, &everywhere);
    }
    let of_plugin: Vec<Key> = keys::all().filter(|it| it.plugin == plugin).collect();
    let Some(key) = key else {
        return show(options, &of_plugin);
    };
    let found = of_plugin.iter().copied().filter(|it| is(it.name, key));
    let found: Vec<Key> = found.collect();
    if found.is_empty() {
        let known = of_plugin.iter().map(|it| it.name);
        bail!("{plugin} has no key {key:?}{}", meant(key, known));
    }
    show(options, &found)
}

/// Whether a documented key is the one that is asked for: with or without `ipam.` and brackets.
fn is(documented: &str, asked: &str) -> bool {
    let plain = |text: &str| {
        let text = text.replace("[]", "");
        text.trim_start_matches("ipam.").to_lowercase()
    };
    let (documented, asked) = (plain(documented), plain(asked));
    documented == asked || documented.ends_with(&format!(".{asked}"))
}

fn meant<'k>(word: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(near) => format!("; did you mean {near:?}?"),
        None => format!("; there are {}", known.collect::<Vec<_>>().join(", ")),
    }
}

fn show(options: &Options, keys: &[Key]) -> Result<()> {
    if options.json {
        let object = |it: &Key| {
            json!({
                "plugin": it.plugin, "key": it.name, "type": it.kind,
                "default": it.default, "meaning": it.meaning,
            })
        };
        print_json!(json!(keys.iter().map(object).collect::<Vec<_>>()));
        return Ok(());
    }
    if let [it] = keys {
        println!("{}.{}: {}", it.plugin, it.name, it.kind);
        if !it.default.is_empty() {
            println!("default: {}", it.default);
        }
        println!("\n{}", it.meaning);
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["KEY", "TYPE", "DEFAULT", "MEANING"]);
    for it in keys {
        table.add_row([
            &format!("{}.{}", it.plugin, it.name),
            it.kind,
            it.default,
            it.meaning,
        ]);
    }
    println!("{table}");
    Ok(())
}
