//! `cargo xtask fuzz`: builds the fuzz targets with the pinned stable compiler, and runs them.
//!
//! What cargo-fuzz asks a nightly compiler for is only the instrumentation, which the stable one can do
//! as well. What stays out is the address sanitizer; all unsafe code is in one crate.

mod binary;

use std::process::ExitCode;

use anyhow::{Result, ensure};

use crate::packages;
use crate::process;
use crate::workspace::Workspace;
pub(crate) use binary::{Binary, build, names};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long each target runs
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u64,
    /// Keep what covers something new in fuzz/corpus: the smallest inputs that cover all there is
    #[arg(long)]
    merge: bool,
    /// The targets; all of them if none is named
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    let known = names(workspace)?;
    for name in &args.targets {
        ensure!(known.contains(name), "the targets are {}", known.join(", "));
    }
    let missing = packages::missing(packages::FOR_FUZZING);
    ensure!(missing.is_empty(), "install {} first", missing.join(" "));
    let chosen = match args.targets.is_empty() {
        true => &known,
        false => &args.targets,
    };
    let mut failed = Vec::new();
    let mut table = vec![row(["target", "runs", "runs/s", "coverage", "result"])];
    for binary in build(workspace, chosen)? {
        process::headline(&binary.name);
        let outcome = binary.replay().and_then(|()| binary.run(args.seconds));
        match outcome {
            Ok(ran) => {
                let [runs, rate] = [ran.runs, ran.per_second].map(|number| number.to_string());
                table.push(row([
                    &binary.name,
                    &runs,
                    &rate,
                    &ran.coverage.to_string(),
                    "ok",
                ]));
                if args.merge {
                    binary.merge()?;
                }
            }
            Err(error) => {
                table.push(row([&binary.name, "", "", "", "FAILED"]));
                failed.push(format!("{}: {error:#}", binary.name));
            }
        }
        println!("{}", table[table.len() - 1]);
    }
    println!("\n{}", table.join("\n"));
    for failure in &failed {
        println!("FAILED  {failure}");
    }
    Ok(match failed.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn row([name, runs, rate, coverage, result]: [&str; 5]) -> String {
    format!("{name:<20} {runs:>12} {rate:>8} {coverage:>8}  {result}")
}
