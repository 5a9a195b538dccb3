//! The verbs.

mod doctor;
mod explain;
mod gc;
pub(crate) mod install;
mod life;
mod lint;
mod list;
mod network;
mod networks;
mod new;
pub(crate) mod node;
pub(crate) mod pod;
mod schema;
mod target;
mod trace;
mod trial;
mod version;

use std::io::{self, Write};

use anyhow::Result;
use clap::CommandFactory;
use netloom_spec::terminal;

use crate::cli::{Cli, Verb};
use crate::demo;
use crate::links;
use crate::topology;

/// By which name this program was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Netloom,
    Cnitool,
}

pub(crate) fn run(cli: &Cli, caller: Caller) -> Result<()> {
    let options = &cli.options;
    match &cli.verb {
        Verb::Add(target) => network::add(options, target),
        Verb::Check(target) => network::check(options, target),
        Verb::Del(del) => network::del(options, del),
        Verb::Gc(gc) => gc::run(options, gc, caller),
        Verb::Doctor(doctor) => doctor::run(options, doctor),
        Verb::Status(network) => network::status(options, network),
        Verb::Version(network) => version::run(options, network),
        Verb::Validate(network) => version::validate(options, network),
        Verb::Networks => networks::run(options),
        Verb::Explain(explain) => explain::run(options, explain),
        Verb::Schema(wanted) => schema::run(wanted),
        Verb::New(wanted) => new::run(wanted),
        Verb::Lint(lint) => lint::run(options, lint),
        Verb::List(network) => list::run(options, network),
        Verb::Install(install) => install::run(install),
        Verb::Uninstall(uninstall) => install::uninstall(uninstall),
        Verb::Try(arguments) => trial::run(options, arguments),
        Verb::Trace(verb) => trace::run(verb, options.json),
        Verb::Link(link) => links::run(options, link),
        Verb::Topo(topo) => topology::run(options, topo),
        Verb::Pod(verb) => pod::answer(options, verb),
        Verb::Node { arguments } => node::run(arguments),
        Verb::Demo(demo) => demo::run(demo, options.timeout, install::into),
        Verb::Completion { shell } => {
            // Not to stdout at once: a disk that is full would be a panic.
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "netloom", &mut script);
            print!("{}", String::from_utf8_lossy(&script));
            Ok(())
        }
    }
}

/// A failure that the verb's own document on stdout tells already, so that nothing is to follow it.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
struct Told {
    words: String,
    status: u8,
}

impl Told {
    fn with_status(words: String, status: u8) -> Self {
        Self { words, status }
    }

    /// An exit status that nothing is to be said about: that of somebody else's program.
    fn silent(status: u8) -> Self {
        Self::with_status(String::new(), status)
    }
}

/// What was asked for cannot be meant; nothing was done.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Misuse(String);

/// The exit status of a failure.
pub(crate) fn status_of(error: &anyhow::Error) -> u8 {
    if error.is::<Misuse>() {
        return 2;
    }
    let told = error.downcast_ref::<Told>().map(|told| told.status);
    let of_pod = error.downcast_ref::<netloom_run::Error>();
    told.or(of_pod.map(|it| it.status)).unwrap_or(1)
}

/// Tells what failed: a line on stderr, and with `--json` the CNI error object on stdout, where one
/// document is all that there is.
pub(crate) fn report(error: &anyhow::Error, json: bool) {
    // Whoever closed stderr or stdout learns of the failure from the exit status.
    if !error.to_string().is_empty() {
        note!("netloom: {error:#}");
    }
    if json && !error.is::<Told>() {
        let object = netloom_spec::Error::new(code_of(error), format!("{error:#}"));
        let _ = writeln!(io::stdout(), "{}", terminal::json(&object.to_json()));
    }
}

fn code_of(error: &anyhow::Error) -> u32 {
    error
        .chain()
        .find_map(|cause| {
            cause
                .downcast_ref::<netloom_runtime::Error>()
                .map(netloom_runtime::Error::code)
                .or_else(|| {
                    cause
                        .downcast_ref::<netloom_spec::Error>()
                        .map(|it| it.code)
                })
        })
        .unwrap_or(netloom_spec::code::INTERNAL)
}
