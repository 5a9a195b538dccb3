//! The daemon: acquires leases for pods, and keeps them.
//!
//! One thread waits for everything at once: plugins on the socket, servers' messages on the pods'
//! links, and the next deadline. No lease waits for another.

mod connection;
mod error;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod listen;
mod poller;
mod serve;
mod setup;

use super::flags::{Flags, Stop, USAGE};
use super::log;
use std::ffi::OsString;
use std::process::ExitCode;

/// `dhcp daemon`, with what follows.
pub(super) fn main(arguments: &[OsString]) -> ExitCode {
    match Flags::parse(arguments) {
        Err(Stop::Help) => {
            eprint!("{USAGE}");
            ExitCode::SUCCESS
        }
        Err(Stop::Wrong(what)) => {
            eprint!("{what}\n{USAGE}");
            ExitCode::from(2)
        }
        Ok(flags) => match setup::run(flags) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                log::line(&error.to_string());
                ExitCode::FAILURE
            }
        },
    }
}
