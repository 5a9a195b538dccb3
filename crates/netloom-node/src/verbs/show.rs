//! `status`: what the daemon of this node knows.

use std::process::ExitCode;

use anyhow::{Result, bail};

use super::run;
use crate::cli;
use crate::status::Status;

pub(super) fn status(args: &cli::Status) -> Result<ExitCode> {
    let run_dir = &args.places.run_dir;
    let Some(mut status) = Status::load(run_dir)? else {
        bail!(
            "no daemon has run here since the boot: systemctl status netloom-node; it writes {}",
            crate::status::path(run_dir).display()
        );
    };
    // Who can take the lock sees that nobody has it.
    let runs = run::lock(run_dir).is_err();
    if !runs {
        status.store.connected = false;
        status.store.error = "the daemon does not run: this is what it knew last".into();
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print!("{}", text(&status));
    }
    Ok(if status.ready && runs {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn text(status: &Status) -> String {
    let store = match (status.store.connected, status.store.error.as_str()) {
        (true, "") => format!("connected to {}", status.store.cluster),
        (true, error) => error.to_owned(),
        (false, error) => format!("away: {error}"),
    };
    let pods = match status.ready {
        true => "can start".to_owned(),
        false => format!("cannot start: {}", status.reason),
    };
    let addresses: Vec<String> = status.addresses.iter().map(ToString::to_string).collect();
    let peers = &status.peers;
    let mut rows = vec![
        ("node", status.node.clone()),
        ("pods", pods),
        ("store", store),
        ("subnets", status.subnets.clone()),
        (
            "uplink",
            format!("{} {}", status.uplink, addresses.join(" ")),
        ),
        ("mode", format!("{}, MTU {}", status.mode, status.mtu)),
        (
            "peers",
            format!(
                "{} believed ({} of them only remembered), {} routes, {} refused, {} out of reach",
                peers.believed,
                peers.remembered,
                peers.routes,
                peers.refused.len(),
                peers.unreachable.len()
            ),
        ),
    ];
    let lists = [
        ("refused", &peers.refused),
        ("out of reach", &peers.unreachable),
        ("error", &status.errors),
    ];
    for (title, list) in lists {
        rows.extend(list.iter().map(|line| (title, line.clone())));
    }
    let line = |(title, value): (&str, String)| {
        let value = netloom_spec::terminal::one_line(&value).into_owned();
        format!("{title:<13} {value}\n")
    };
    rows.into_iter().map(line).collect()
}
