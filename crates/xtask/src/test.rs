//! `cargo xtask test`: every tier, from fast to slow, and one summary.

mod built;
mod cached;
mod delivered;
mod etcd;
mod former;
mod fuzzed;
mod guest;
mod libtest;
mod product;
mod program;
mod report;
mod side_by_side;
mod tiers;
mod times;
mod vm;

use std::process::{Command, ExitCode, Stdio};

use anyhow::Result;

use crate::packages;
use crate::process;
use crate::workspace::Workspace;
use cached::Cached;
use product::Product;
use report::Report;
use tiers::{Runner, TIERS, Tier, Vm};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only the tests whose names contain this; tiers without such tests are no failure
    #[arg(long)]
    filter: Option<String>,
    /// Run only these tiers, by name
    #[arg(long = "tier", value_name = "NAME", value_parser = tiers::known)]
    tiers: Vec<String>,
    /// Prove everything, as a submission must: no point of a fault is left out, every tier, with --vm
    #[arg(long, conflicts_with_all = ["no_vm", "tiers", "filter"])]
    full: bool,
    /// Insist on the tier under User-Mode Linux: that there is no guest, and a test that runs nowhere,
    /// are failures; so they are with CI=true
    #[arg(long)]
    vm: bool,
    /// Leave the tier under User-Mode Linux out
    #[arg(long, conflicts_with = "vm")]
    no_vm: bool,
    /// Build a server of the Kubernetes API, once, and test the cluster's daemon on it, as --full does
    #[arg(long)]
    kube: bool,
    /// Install nothing: go on with what the machine has
    #[arg(long)]
    no_install: bool,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    process::headline("packages");
    packages::ensure(packages::FOR_TESTS, !args.no_install)?;
    if args.insists_on_vm() {
        packages::ensure(packages::FOR_ALL_TESTS, !args.no_install)?;
    }
    let chosen: Vec<_> = TIERS.iter().filter(|tier| args.chooses(tier)).collect();
    if chosen.iter().any(|tier| tier.name == tiers::ETCD) {
        packages::ensure(packages::FOR_CLUSTER, !args.no_install)?;
    }
    if chosen.iter().any(|tier| tier.name == tiers::PACKAGES) {
        packages::ensure(packages::FOR_DAEMON, !args.no_install)?;
    }
    let apiserver = match args.kube || args.full {
        true => Cached::begin(&cached::APISERVER, workspace, !args.no_install),
        false => Cached::find(&cached::APISERVER, workspace),
    };
    let with_vm = chosen.iter().any(|tier| tier.name == tiers::VM);
    let vm = with_vm.then(|| Vm {
        kernel: Cached::begin(&cached::KERNEL, workspace, !args.no_install),
        strict: args.insists_on_vm(),
        complete: [packages::FOR_TESTS, packages::FOR_ALL_TESTS]
            .iter()
            .all(|needs| packages::missing(needs).is_empty()),
        alone: chosen.len() == 1,
    });
    let sample = match args.full {
        true => None,
        false => sample(workspace),
    };
    let told = sample.as_deref().unwrap_or("everything");
    println!("the points of faults: {told}");
    let product = Product::new(args.full);
    let mut runner = Runner::new(workspace, args.filter.clone(), sample, vm, product)?;
    runner.apiserver = Some(apiserver);
    let mut report = Report::default();
    for (number, tier) in (1..).zip(&chosen) {
        process::headline(&format!(
            "tier {number} of {}: {} ({})",
            chosen.len(),
            tier.name,
            tier.what
        ));
        let outcome = runner.run(tier);
        report.add(tier.name, outcome);
    }
    report.print();
    Ok(if report.is_green() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// How many processors there are to share out.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// One run in ten does each of the many points of a fault: which one, follows from the number of
/// commits, so that ten of them have done all. Without a history everything is done.
fn sample(workspace: &Workspace) -> Option<String> {
    let mut git = Command::new("git");
    git.args(["rev-list", "--count", "HEAD"])
        .current_dir(&workspace.root)
        .stderr(Stdio::null());
    let output = git.output().ok().filter(|output| output.status.success())?;
    part(&String::from_utf8_lossy(&output.stdout))
}

/// The part of all trials that belongs to this number of commits.
fn part(commits: &str) -> Option<String> {
    let commits: u64 = commits.trim().parse().ok()?;
    Some(format!("{}/10", commits % 10))
}

impl Args {
    fn names(&self, tier: &str) -> bool {
        self.tiers.iter().any(|name| name == tier)
    }

    fn chooses(&self, tier: &Tier) -> bool {
        if tier.name == tiers::VM && (self.full || self.vm || self.no_vm) {
            return self.full || self.vm;
        }
        if tier.name == tiers::PACKAGES {
            return self.names(tier.name);
        }
        if tier.name == tiers::ETCD {
            return self.full || self.kube || self.names(tier.name);
        }
        self.tiers.is_empty() || self.names(tier.name)
    }

    fn insists_on_vm(&self) -> bool {
        let ci = std::env::var("CI").unwrap_or_default();
        self.full || self.vm || self.names(tiers::VM) || !matches!(ci.as_str(), "" | "0" | "false")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_commits_do_all_parts() {
        let parts = (1234..1244).map(|commits| part(&format!("{commits}\n")).unwrap());
        let mut parts: Vec<_> = parts.collect();
        assert_eq!(parts[0], "4/10");
        parts.sort();
        assert_eq!(
            parts,
            (0..10).map(|k| format!("{k}/10")).collect::<Vec<_>>()
        );
        assert_eq!(part(""), None);
    }
}
