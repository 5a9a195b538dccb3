//! What there is to see of pods.

use std::fs::File;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use comfy_table::{Table, presets};
use netloom_run::{Phase, Pod, PodState};
use netloom_spec::terminal;
use serde_json::{Value, json};

use super::{find, store};
use crate::cli::pod::{OnePod, Ps};
use crate::options::Options;

/// Characters of a command in the table.
const COMMAND: usize = 40;

pub(super) fn ps(options: &Options, ps: &Ps) -> Result<()> {
    let mut pods = Vec::new();
    for pod in store()?.list()? {
        // One that ended just now is none.
        let Ok(state) = pod.state() else { continue };
        if ps.all || options.json || matches!(state.phase, Phase::Embryo | Phase::Run) {
            pods.push((pod, state));
        }
    }
    pods.sort_by_key(|(_, state)| std::cmp::Reverse(state.created));
    if options.json {
        let all: Vec<_> = pods.iter().map(|(pod, state)| object(pod, state)).collect();
        print_json!(json!(all));
        return Ok(());
    }
    if ps.quiet {
        for (pod, _) in &pods {
            println!("{}", pod.id());
        }
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["ID", "NAME", "STATUS", "CREATED", "NETWORKS", "COMMAND"]);
    for (pod, state) in &pods {
        let command = state.spec.command.join(" ");
        table.add_row([
            pod.short_id().to_owned(),
            state.spec.name.clone(),
            status(state),
            age(state.created),
            terminal::one_line(&networks(state)).into_owned(),
            shortened(&terminal::one_line(&command)),
        ]);
    }
    println!("{table}");
    Ok(())
}

/// What there is room for in a table.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(COMMAND) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn status(state: &PodState) -> String {
    let status = state.status.map(|it| it.to_string()).unwrap_or_default();
    match state.phase {
        Phase::Embryo => "starting".to_owned(),
        Phase::Run => "running".to_owned(),
        Phase::Exited => format!("exited ({status})"),
        Phase::Garbage => format!("exited ({status}), not all deleted"),
    }
}

fn networks(state: &PodState) -> String {
    let each = state.spec.attachments.iter().map(|it| {
        let addresses: Vec<_> = it.addresses().iter().map(ToString::to_string).collect();
        format!("{} {}={}", it.network, it.if_name, addresses.join(","))
    });
    each.collect::<Vec<_>>().join("; ")
}

fn age(created: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = now.map_or(0, |now| now.as_secs()).saturating_sub(created);
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

fn object(pod: &Pod, state: &PodState) -> Value {
    let networks: Vec<_> = state
        .spec
        .attachments
        .iter()
        .map(|it| {
            json!({
                "network": it.network, "ifname": it.if_name, "addresses": it.addresses(),
                "args": it.args, "capabilityArgs": it.capability_args, "result": it.result,
            })
        })
        .collect();
    json!({
        "id": pod.id(),
        "name": state.spec.name,
        "phase": state.phase,
        "created": state.created,
        "pid": state.init.map(|it| it.pid),
        "exitStatus": state.status,
        "command": state.spec.command,
        "env": state.spec.env.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>(),
        "cwd": state.spec.cwd,
        "user": state.spec.user,
        "hostname": state.spec.hostname,
        "root": state.spec.root,
        "volumes": state.spec.volumes,
        "networkMode": state.spec.network,
        "netns": pod.netns(),
        "networks": networks,
        "ports": state.spec.ports,
        "left": state.left,
    })
}

pub(super) fn inspect(it: &OnePod) -> Result<()> {
    let (_, pod) = find(&it.pod)?;
    let state = pod.state()?;
    print_json!(object(&pod, &state));
    Ok(())
}

/// As the pod wrote it, which may be for a terminal: that is what was asked for.
pub(super) fn logs(it: &OnePod) -> Result<()> {
    let (_, pod) = find(&it.pod)?;
    let former = pod.log().with_extension("1");
    for path in [former, pod.log()] {
        let Ok(mut file) = File::open(&path) else {
            continue;
        };
        io::copy(&mut file, &mut io::stdout()).context("print the log")?;
    }
    Ok(())
}
