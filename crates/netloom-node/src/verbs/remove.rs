//! `remove`: forget a node that is gone for good.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use netloom_cluster::NodeName;

use crate::cli::Remove;
use crate::misuse::Misuse;
use crate::store::{Removed, Settings, remove_node};

pub(super) fn remove(args: &Remove) -> Result<ExitCode> {
    let (settings, node) = judged(args).map_err(Misuse::of)?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let Removed {
        subnets,
        blocks,
        known,
    } = runtime.block_on(remove_node(settings, &node, now.as_secs()))?;
    match (known, subnets, blocks) {
        (false, 0, 0) => println!("nothing to do: the store does not know {node}"),
        _ => println!("removed {node}: {subnets} parts of the network, grants in {blocks} blocks"),
    }
    Ok(ExitCode::SUCCESS)
}

fn judged(args: &Remove) -> Result<(Settings, NodeName)> {
    let settings = Settings::new(&args.store)?;
    let node = NodeName::new(args.node.as_str())?;
    ensure!(
        args.fenced,
        "what {node} held is given to others at once, so it must not come back with pods that live: \
         say --fenced when the machine is off, or cut off for good"
    );
    Ok((settings, node))
}
