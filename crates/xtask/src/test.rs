//! `cargo xtask test`: every tier, from fast to slow, and one summary.

mod built;
mod former;
mod guest;
mod kernel;
mod libtest;
mod program;
mod report;
mod side_by_side;
mod tiers;
mod times;
mod vm;

use std::process::ExitCode;

use anyhow::Result;

use crate::packages;
use crate::process;
use crate::workspace::Workspace;
use kernel::Kernel;
use report::Report;
use tiers::{Runner, TIERS, Tier};
use vm::Vm;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only the tests whose names contain this; tiers without such tests are no failure
    #[arg(long)]
    filter: Option<String>,
    /// Run only these tiers, by name
    #[arg(long = "tier", value_name = "NAME", value_parser = tiers::known)]
    tiers: Vec<String>,
    /// Prove everything, as a submission must: every tier, with --vm
    #[arg(long, conflicts_with_all = ["no_vm", "tiers", "filter"])]
    full: bool,
    /// Insist on the tier under User-Mode Linux: that there is no guest, and a test that runs nowhere,
    /// are failures; so they are with CI=true
    #[arg(long)]
    vm: bool,
    /// Leave the tier under User-Mode Linux out
    #[arg(long, conflicts_with = "vm")]
    no_vm: bool,
    /// Install nothing: go on with what the machine has
    #[arg(long)]
    no_install: bool,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    process::headline("packages");
    packages::ensure(packages::FOR_TESTS, !args.no_install)?;
    let chosen: Vec<_> = TIERS.iter().filter(|tier| args.chooses(tier)).collect();
    let with_vm = chosen.iter().any(|tier| tier.name == tiers::VM);
    let vm = with_vm.then(|| Vm {
        kernel: Kernel::begin(workspace, !args.no_install),
        strict: args.insists_on_vm(),
        complete: packages::missing(packages::FOR_TESTS).is_empty(),
        alone: chosen.len() == 1,
    });
    let mut runner = Runner::new(workspace, args.filter.clone(), vm)?;
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

impl Args {
    fn names(&self, tier: &str) -> bool {
        self.tiers.iter().any(|name| name == tier)
    }

    fn chooses(&self, tier: &Tier) -> bool {
        if tier.name == tiers::VM && (self.full || self.vm || self.no_vm) {
            return self.full || self.vm;
        }
        self.tiers.is_empty() || self.names(tier.name)
    }

    fn insists_on_vm(&self) -> bool {
        let ci = std::env::var("CI").unwrap_or_default();
        self.full || self.vm || self.names(tiers::VM) || !matches!(ci.as_str(), "" | "0" | "false")
    }
}
