//! Many links between many namespaces: `netloom topo`, beside a program that only sends the messages.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Order;
use super::call::Call;
use super::report::Row;
use super::scenario::Scenario;
use super::side::Side;
use crate::process;

/// How many namespaces there are, and how many links begin in each.
const NODES: usize = 100;
const EACH: usize = 5;
/// Where `ip netns` binds namespaces.
const NAMED: &str = "/run/netns";
/// Between two measurements: what the kernel put off is mostly done by then.
const PAUSE: Duration = Duration::from_millis(300);

pub(crate) fn measure(scenario: &Scenario, order: &Order) -> Result<Vec<Row>> {
    let command = order
        .command
        .as_ref()
        .context("there is no command to measure")?;
    let [mut apply, mut again, mut destroy] =
        ["apply", "again", "destroy"].map(|operation| Row::new(scenario, operation));
    for round in 0..order.rounds.min(scenario.most_rounds) {
        let prefix = format!("floor{round}-");
        namespaces("add", &prefix, &order.state)?;
        let floor = Call {
            program: order.floor.clone(),
            arguments: words(&[
                "cables",
                &format!("{NAMED}/{prefix}"),
                &NODES.to_string(),
                &EACH.to_string(),
            ]),
            ..Call::default()
        };
        std::thread::sleep(PAUSE);
        apply
            .samples
            .entry(Side::Floor)
            .or_default()
            .push(floor.time()?.0);
        namespaces("del", &prefix, &order.state)?;

        let prefix = format!("ours{round}-");
        namespaces("add", &prefix, &order.state)?;
        let file = order.state.join("lab.yaml");
        fs::write(&file, topology(&prefix))?;
        let topo = |verb: &str| Call {
            program: command.clone(),
            arguments: words(&["topo", verb, &file.display().to_string()]),
            ..Call::default()
        };
        for (verb, row) in [
            ("apply", &mut apply),
            ("apply", &mut again),
            ("destroy", &mut destroy),
        ] {
            std::thread::sleep(PAUSE);
            row.samples
                .entry(Side::Ours)
                .or_default()
                .push(topo(verb).time()?.0);
        }
        namespaces("del", &prefix, &order.state)?;
    }
    Ok(vec![apply, again, destroy])
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Makes or removes all namespaces; not part of any measurement.
fn namespaces(verb: &str, prefix: &str, state: &Path) -> Result<()> {
    let lines: String = (0..NODES)
        .map(|n| format!("netns {verb} {prefix}{n}\n"))
        .collect();
    let batch = state.join("batch");
    fs::write(&batch, lines)?;
    process::run(Command::new("ip").arg("-batch").arg(&batch))
}

/// Each namespace is linked to the next ones.
fn topology(prefix: &str) -> String {
    let mut text = "name: bench\nnodes:\n".to_owned();
    for n in 0..NODES {
        text += &format!("  n{n}: {{ attach: \"ns:{prefix}{n}\" }}\n");
    }
    text += "links:\n";
    for n in 0..NODES {
        for k in 1..=EACH {
            text += &format!(
                "  - endpoints: [\"n{n}:e{k}\", \"n{}:f{k}\"]\n",
                (n + k) % NODES
            );
        }
    }
    text
}
