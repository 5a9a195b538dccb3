//! Output that cannot be written: nobody reads any more (`netloom list | head -1`), or the disk is full.

use std::io::{self, Write};
use std::panic;
use std::process;

use clap::Parser;
use netloom_run::status::NOT_STARTED;

use crate::help::grouped;

/// What a shell calls the end by SIGPIPE, which is how other tools end here.
const SIGPIPE_STATUS: i32 = 141;

/// The status of a command line that is wrong, as other tools have it.
const MISUSE: i32 = 2;

/// Lets a `println!` to a closed pipe end the command without a word, and one to a full disk with one line, instead
/// of a panic.
///
/// SIGPIPE itself stays ignored: by default it would also kill the command while it writes the
/// configuration to a plugin that died, before what was added is undone.
pub(crate) fn end_without_output() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>();
        match text.and_then(|text| unprinted(text)) {
            Some(cause) => process::exit(status(cause)),
            None => report(panic),
        }
    }));
}

/// The command line; help that cannot be printed is a failure.
pub(crate) fn parse<C: Parser>() -> C {
    let command = grouped(C::command());
    let matches = command.clone().try_get_matches();
    let parsed = matches.and_then(|mut matches| C::from_arg_matches_mut(&mut matches));
    parsed.unwrap_or_else(|answer| {
        let printed = answer.print().and_then(|()| io::stdout().flush());
        process::exit(match printed {
            Err(error) if !answer.use_stderr() => status(&format!("stdout: {error}")),
            _ if answer.use_stderr() => misuse(command),
            _ => answer.exit_code(),
        })
    })
}

/// The status for words that are wrong. Those that run a program have the status of container engines: theirs
/// is the program's otherwise.
fn misuse(command: clap::Command) -> i32 {
    let understood = command.ignore_errors(true).try_get_matches();
    let verb = understood
        .ok()
        .and_then(|it| it.subcommand_name().map(str::to_owned));
    match verb.as_deref() {
        Some("run" | "exec" | "docker-run") => NOT_STARTED.into(),
        _ => MISUSE,
    }
}

/// Where std's `println!` and `eprintln!` could not write, and why.
fn unprinted(panic: &str) -> Option<&str> {
    panic.strip_prefix("failed printing to ")
}

/// The status to end with, after a word for whoever may hear it.
fn status(cause: &str) -> i32 {
    if cause.contains("Broken pipe") {
        return SIGPIPE_STATUS;
    }
    note!("netloom: cannot write to {cause}");
    1
}
