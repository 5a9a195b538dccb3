//! The daemon: acquires leases for pods, and keeps them.
//!
//! One thread waits for everything at once: plugins on the socket, servers' messages on the pods'
//! links, and the next deadline. No lease waits for another.

mod connection;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod listen;
mod poller;
mod serve;
mod setup;

use super::flags::{Flags, Stop, USAGE};
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
                log(&error.to_string());
                ExitCode::FAILURE
            }
        },
    }
}

/// One line to stderr, where a service manager keeps it.
pub(super) fn log(text: &str) {
    use std::io::Write;
    let line = format!("dhcp: {}\n", text.replace('\n', " "));
    // A log that cannot be written must not end the daemon.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
