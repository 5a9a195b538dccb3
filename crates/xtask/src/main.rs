//! netloom's own tasks: `cargo xtask test`, `bench`, `tidy`, `dist`.
//!
//! Depends on no other crate of the workspace, so that it builds, and can say what is wrong, when they do not.

mod dist;
mod packages;
mod process;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "netloom's own tasks", version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing, run every tier of tests, print what passed, failed and was skipped
    Test(test::Args),
    /// Check the rules that neither the compiler nor clippy knows
    Tidy(tidy::Args),
    /// Build the release: the static plugin binary with its names, and the command
    Dist(dist::Args),
}

fn main() -> Result<ExitCode> {
    let task = Cli::parse().task;
    let workspace = Workspace::find()?;
    match task {
        Task::Test(args) => test::run(&workspace, &args),
        Task::Tidy(args) => tidy::run(&workspace, &args),
        Task::Dist(args) => dist::run(&workspace, &args),
    }
}
