//! The verbs of the command line.

mod init;
mod remove;
mod run;
mod show;
mod uninstall;

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::{Cli, Verb};

pub(crate) fn run(cli: &Cli) -> Result<ExitCode> {
    match &cli.verb {
        Verb::Run(_) => run::run(cli),
        Verb::Init(args) => init::init(args),
        Verb::Status(args) => show::status(args),
        Verb::Drain(args) => uninstall::drain(args),
        Verb::Uninstall(args) => uninstall::uninstall(args),
        Verb::Remove(args) => remove::remove(args),
    }
}
