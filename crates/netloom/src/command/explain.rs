//! `explain`: what a key of a plugin means, as the reference pages tell it.

use anyhow::{Result, bail};
use comfy_table::{Table, presets};
use netloom_plugins::registry::PLUGINS;
use serde_json::json;

use crate::cli::{Explain, Options};
use crate::near::nearest;

/// A key: its plugin, its name, type, default and meaning.
type Key = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

/// The tables of docs/plugins.
const KEYS: &[Key] = include!(concat!(env!("OUT_DIR"), "/keys.rs"));

pub(super) fn run(options: &Options, explain: &Explain) -> Result<()> {
    let (plugin, key) = match explain.what.split_once('.') {
        Some((plugin, key)) => (plugin, Some(key)),
        None => (explain.what.as_str(), None),
    };
    let of_plugin: Vec<&Key> = KEYS.iter().filter(|it| it.0 == plugin).collect();
    let names = || PLUGINS.iter().map(|it| it.name());
    if !names().any(|name| name == plugin) {
        // Perhaps it is a key alone.
        let everywhere: Vec<&Key> = KEYS.iter().filter(|it| is(it.1, plugin)).collect();
        if key.is_some() || everywhere.is_empty() {
            bail!("no plugin {plugin:?}{}", meant(plugin, names()));
        }
        return show(options, &everywhere);
    }
    let Some(key) = key else {
        return show(options, &of_plugin);
    };
    let found: Vec<&Key> = of_plugin
        .iter()
        .copied()
        .filter(|it| is(it.1, key))
        .collect();
    if found.is_empty() {
        let known = of_plugin.iter().map(|it| it.1);
        bail!("{plugin} has no key {key:?}{}", meant(key, known));
    }
    show(options, &found)
}

/// Whether a documented key is the one that is asked for: with or without `ipam.` and brackets.
fn is(documented: &str, asked: &str) -> bool {
    let plain = |text: &str| {
        text.replace("[]", "")
            .trim_start_matches("ipam.")
            .to_lowercase()
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

fn show(options: &Options, keys: &[&Key]) -> Result<()> {
    if options.json {
        let object = |it: &&Key| json!({"plugin": it.0, "key": it.1, "type": it.2, "default": it.3, "meaning": it.4});
        print_json!(json!(keys.iter().map(object).collect::<Vec<_>>()));
        return Ok(());
    }
    if let [(plugin, key, kind, default, meaning)] = keys {
        println!("{plugin}.{key}: {kind}");
        if !default.is_empty() {
            println!("default: {default}");
        }
        println!("\n{meaning}");
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["KEY", "TYPE", "DEFAULT", "MEANING"]);
    for (plugin, key, kind, default, meaning) in keys {
        table.add_row([&format!("{plugin}.{key}"), *kind, *default, *meaning]);
    }
    println!("{table}");
    Ok(())
}
