//! `cargo xtask test`: every tier, from fast to slow, and one summary.

mod built;
mod guest;
mod libtest;
mod report;
mod tiers;

use std::process::ExitCode;

use anyhow::Result;

use crate::packages;
use crate::process;
use crate::workspace::Workspace;
use report::Report;
use tiers::{Runner, TIERS};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only the tests whose names contain this; tiers without such tests are no failure
    #[arg(long)]
    filter: Option<String>,
    /// Run only these tiers, by name
    #[arg(long = "tier", value_name = "NAME", value_parser = tiers::known)]
    tiers: Vec<String>,
    /// Run again, under User-Mode Linux, the tests that this kernel is too small for
    #[arg(long)]
    vm: bool,
    /// Install nothing: go on with what the machine has
    #[arg(long)]
    no_install: bool,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    process::headline("packages");
    packages::ensure(packages::FOR_TESTS, !args.no_install)?;
    let mut runner = Runner::new(workspace, args.filter.clone())?;
    let chosen: Vec<_> = TIERS
        .iter()
        .filter(|tier| args.vm || tier.name != tiers::VM)
        .filter(|tier| args.tiers.is_empty() || args.tiers.iter().any(|name| name == tier.name))
        .collect();
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
