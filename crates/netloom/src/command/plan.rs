//! `plan`: what ADD would do.

use anyhow::{Context as _, Result};
use comfy_table::{Table, presets};
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::Socket;
use netloom_plugin::forecast::{Effect, Forecast, Spot, Step};
use netloom_plugins::registry::PLUGINS;
use netloom_runtime::{RuntimeConf, forecast_request};
use netloom_spec::{AddResult, NetworkConfigList, NetworkName, Version, terminal};
use serde_json::{Value, json};

use super::{Misuse, target};
use crate::cli::Target;
use crate::configured::{NoSuchNetwork, find};
use crate::options::Options;

pub(super) fn run(options: &Options, wanted: &Target) -> Result<()> {
    let list = find(options, &wanted.network).map_err(as_misuse)?;
    let runtime = target::new(options, wanted)?;
    let netns = Netns::open(&runtime.netns).map_err(|error| Misuse(error.to_string()))?;
    let inside = Socket::open_in(&netns).context("enter the network namespace")?;
    let forecast = forecast(&list, &runtime)?;
    let mut steps = forecast.steps;
    let taken = inside.find_link(&runtime.if_name)?.is_some();
    // A plugin that works on lo, or on an interface that is there, makes none.
    let makes_it = |step: &Step| {
        step.spot == Spot::Pod && step.effect == Effect::Makes && step.name == runtime.if_name
    };
    if taken && steps.iter().any(makes_it) {
        note!(
            "netloom: ADD would refuse this: {:?} has a link {:?} already",
            runtime.netns,
            runtime.if_name
        );
    }
    steps.sort_by_key(|step| step.effect);
    if options.json {
        print_json!(document(&steps, &forecast.result, &forecast.unknown));
    } else {
        print(&steps, &forecast.unknown);
    }
    Ok(())
}

/// For ADD a network that is not there is a failure, as for cnitool; asking about one is misuse.
fn as_misuse(error: anyhow::Error) -> anyhow::Error {
    match error.is::<NoSuchNetwork>() {
        true => {
            let words = error.to_string();
            error.context(Misuse(words))
        }
        false => error,
    }
}

fn forecast<'f>(list: &'f NetworkConfigList, runtime: &'f RuntimeConf) -> Result<Told> {
    let network = NetworkName::new(&list.name)?;
    let args = runtime
        .args
        .iter()
        .map(|(key, value)| format!("{key}={value}"));
    let args = args.collect::<Vec<_>>().join(";");
    let mut forecast = Forecast {
        conf: Default::default(),
        registry: PLUGINS,
        plugin: "",
        network: &network,
        version: list.cni_version.parse().unwrap_or(Version::LATEST),
        container_id: &runtime.container_id,
        if_name: &runtime.if_name,
        args: &args,
        netns: &runtime.netns,
        result: AddResult::new(),
        is_open: false,
        host_ends: Vec::new(),
        steps: Vec::new(),
        unknown: Vec::new(),
    };
    for conf in &list.plugins {
        let kind = conf.plugin_type();
        let request = forecast_request(list, conf, runtime);
        let asked = forecast.ask(request);
        asked.with_context(|| format!("plugin {kind}: ADD would fail"))?;
    }
    Ok(Told {
        steps: forecast.steps,
        result: forecast.result,
        unknown: forecast.unknown,
    })
}

/// What all plugins of a list told.
struct Told {
    steps: Vec<Step>,
    result: AddResult,
    unknown: Vec<String>,
}

fn document(steps: &[Step], result: &AddResult, unknown: &[String]) -> Value {
    let step = |it: &Step| {
        json!({
            "plugin": it.plugin, "effect": it.effect.words(), "where": it.spot.word(),
            "kind": it.kind, "name": it.name,
        })
    };
    let addresses = result.ips.iter().map(|ip| ip.address.to_string());
    json!({
        "steps": steps.iter().map(step).collect::<Vec<_>>(),
        "addresses": addresses.collect::<Vec<_>>(),
        "unknown": unknown,
    })
}

fn print(steps: &[Step], unknown: &[String]) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["", "WHERE", "WHAT", "NAME", "PLUGIN"]);
    let mut last = None;
    for step in steps {
        let heading = if last == Some(step.effect) {
            ""
        } else {
            step.effect.words()
        };
        last = Some(step.effect);
        table.add_row([
            heading,
            step.spot.word(),
            step.kind,
            &terminal::one_line(&step.name),
            step.plugin,
        ]);
    }
    println!("{table}");
    for plugin in unknown {
        say!("what {plugin} would do is not known: it is not netloom's");
    }
}
