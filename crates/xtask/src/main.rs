//! netloom's own tasks: `cargo xtask test`, `fuzz`, `bench`, `tidy`, `book`, `dist`.
//!
//! Depends on no other crate of the workspace, so that it builds, and can say what is wrong, when they do not.

#![forbid(unsafe_code)]

mod bench;
mod book;
mod dist;
mod fuzz;
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
    /// Feed the parsers what nobody should write, and look for one that panics or contradicts itself
    Fuzz(fuzz::Args),
    /// Measure beside another directory of CNI plugins, and beside the kernel's own work
    Bench(bench::Args),
    /// The bench inside its throw-away host
    #[command(hide = true)]
    BenchInside { order: String },
    /// One end of the connections that the bench measures
    #[command(hide = true)]
    BenchConnect {
        #[command(subcommand)]
        end: bench::Ends,
    },
    /// Check the rules that neither the compiler nor clippy knows
    Tidy(tidy::Args),
    /// Build the book of docs, and look at it in a browser
    Book(book::Args),
    /// Build the release: the static plugin binary with its names, and the command
    Dist(dist::Args),
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    // In the throw-away host cargo's own folders may be out of sight.
    if let Task::BenchInside { order } = &task {
        return bench::run_inside(order);
    }
    if let Task::BenchConnect { end } = &task {
        return bench::run_ends(end);
    }
    let workspace = Workspace::find()?;
    match task {
        Task::Test(args) => test::run(&workspace, &args),
        Task::Fuzz(args) => fuzz::run(&workspace, &args),
        Task::Bench(args) => bench::run(&workspace, &args),
        Task::BenchInside { order } => bench::run_inside(&order),
        Task::BenchConnect { end } => bench::run_ends(&end),
        Task::Tidy(args) => tidy::run(&workspace, &args),
        Task::Book(args) => book::run(&workspace, &args),
        Task::Dist(args) => dist::run(&workspace, &args),
    }
}
