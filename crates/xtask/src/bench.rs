//! `cargo xtask bench`: netloom's plugins and another directory of CNI plugins, in turn, on one machine in one run.
//!
//! Everything is measured from outside, as a runtime sees it: from the spawn of a process, without a shell, to its exit.

mod burst;
mod call;
mod cluster;
mod connect;
mod contender;
mod cpu;
mod host;
mod inside;
mod pods;
mod pool;
mod ports;
mod report;
mod scenario;
mod side;
mod statistics;
mod topology;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::workspace::Workspace;
use crate::{dist, packages, process};

pub(crate) use connect::{Ends, run as run_ends};
pub(crate) use inside::run as run_inside;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The other plugins
    #[arg(long, value_name = "DIR", default_value = "/usr/lib/cni")]
    peer: PathBuf,
    /// Take these plugins for ours instead of building them
    #[arg(long, value_name = "DIR")]
    ours: Option<PathBuf>,
    /// How often each call is measured
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Where the numbers go [default: bench.json in cargo's target directory]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only the scenarios whose names contain this
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Install nothing
    #[arg(long)]
    no_install: bool,
}

/// What the process in the throw-away host is told; all paths are absolute.
#[derive(Serialize, Deserialize)]
pub(crate) struct Order {
    ours: PathBuf,
    peer: PathBuf,
    floor: PathBuf,
    /// `netloom`, if it is measured.
    command: Option<PathBuf>,
    /// The daemon of a cluster's node, if it is measured and could be built.
    node: Option<PathBuf>,
    /// Emptied, used, and removed. On a disk as real nodes have it, not in memory.
    state: PathBuf,
    json: PathBuf,
    rounds: u16,
    only: Option<String>,
    /// Which sources are measured.
    commit: String,
    /// The Debian package, with its version, that the peer comes from, if it does.
    package: Option<String>,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    packages::ensure(packages::FOR_BENCH, !args.no_install)?;
    let scratch = workspace.target.join("xtask-bench");
    let ours = match &args.ours {
        Some(ours) => ours.clone(),
        None => dist::build_plugins(workspace, &scratch.join("bin"))?.bin,
    };
    for folder in [&ours, &args.peer] {
        ensure!(
            folder.join("bridge").exists(),
            "there is no bridge in {}",
            folder.display()
        );
    }
    let json = args
        .json
        .clone()
        .unwrap_or_else(|| workspace.target.join("bench.json"));
    let order = Order {
        ours: absolute(&ours)?,
        peer: absolute(&args.peer)?,
        floor: dist::build_floor(workspace)?,
        command: command(workspace, args, &ours)?,
        node: node(workspace, args, &ours)?,
        state: scratch.join("state"),
        json: absolute(&json)?,
        rounds: args.rounds,
        only: args.only.clone(),
        commit: commit(workspace),
        package: package(&args.peer),
    };
    let mut command = in_throw_away_host();
    command.arg(std::env::current_exe().context("cannot find this program")?);
    command
        .arg("bench-inside")
        .arg(serde_json::to_string(&order)?);
    let status = command
        .status()
        .context("cannot run unshare (package util-linux)")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The command, if a scenario that uses it is wanted: beside our plugins, or built.
fn command(workspace: &Workspace, args: &Args, ours: &Path) -> Result<Option<PathBuf>> {
    let only = args.only.as_deref().unwrap_or_default();
    let wanting = [scenario::TOPOLOGY, scenario::TRACE, scenario::RUN];
    if !wanting.iter().any(|name| name.contains(only)) {
        return Ok(None);
    }
    let there = ours.join("netloom");
    if there.exists() {
        return absolute(&there).map(Some);
    }
    dist::build_command(workspace, ours).map(Some)
}

/// The cluster's daemon, if a scenario of it is wanted: beside our plugins, or built with what that needs.
fn node(workspace: &Workspace, args: &Args, ours: &Path) -> Result<Option<PathBuf>> {
    let only = args.only.as_deref().unwrap_or_default();
    let mut scenarios = scenario::all().into_iter();
    if !scenarios.any(|it| it.cluster.is_some() && it.name.contains(only)) {
        return Ok(None);
    }
    packages::ensure(packages::FOR_CLUSTER, !args.no_install)?;
    let there = ours.join(dist::daemon::NAME);
    match there.exists() {
        true => absolute(&there).map(Some),
        false => dist::daemon::build(workspace, ours),
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| path.display().to_string())
}

/// New network and mount namespaces, made by util-linux before any thread of ours runs in them. Nothing that the bench
/// makes in the kernel outlives its last process.
fn in_throw_away_host() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount"]);
    if !process::is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--");
    command
}

fn package(folder: &Path) -> Option<String> {
    let said = |command: &mut Command| {
        let output = command.stderr(Stdio::null()).output().ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let owner = said(
        Command::new("dpkg-query")
            .arg("--search")
            .arg(folder.join("bridge")),
    )?;
    let (name, _) = owner.split_once(':')?;
    let shown = "--showformat=${Package} ${Version}";
    said(Command::new("dpkg-query").args(["--show", shown, name]))
}

fn commit(workspace: &Workspace) -> String {
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty", "--abbrev=12"])
        .current_dir(&workspace.root);
    match git.output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
}
