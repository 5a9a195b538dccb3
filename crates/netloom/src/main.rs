//! `netloom`, the command: cnitool's verbs, and everything beyond them.
//!
//! Called as `cnitool` it answers as cnitool, as `koko` it answers as koko; called by the name of a plugin it is that plugin.

#![forbid(unsafe_code)]

/// Says a line on stderr, whoever chose what it quotes. That nobody can hear it must not end what is
/// being done.
macro_rules! note {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let words = format!($($words)*);
        let _ = writeln!(std::io::stderr(), "{}", netloom_spec::terminal::lines(&words));
    }};
}

/// The same on stdout, where it must be heard.
macro_rules! say {
    ($($words:tt)*) => {{
        let words = format!($($words)*);
        println!("{}", netloom_spec::terminal::lines(&words));
    }};
}

/// Prints a JSON document.
macro_rules! print_json {
    ($value:expr) => {{
        let document = format!("{:#}", $value);
        println!("{}", netloom_spec::terminal::json(&document));
    }};
}

mod causes;
mod cli;
mod command;
mod configured;
mod demo;
mod environment;
mod execution;
mod graph;
mod help;
mod keys;
mod links;
mod lint;
mod markup;
mod near;
mod node;
mod options;
mod pipe;
mod schema;
mod stage;
mod topology;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use cli::Cli;
use command::Caller;

fn main() -> ExitCode {
    if let Some(code) = netloom_plugins::trace::run_as_wrapper() {
        return code;
    }
    let called = called();
    let plugins = netloom_plugins::registry::PLUGINS;
    // By the name of the program that is all plugins it lists them, as that does.
    if called == "netloom-plugins" || netloom_plugin::find(plugins, &called).is_some() {
        netloom_plugin::tell_maker(netloom_plugins::MAKER);
        return netloom_plugin::main(plugins);
    }
    if let Some(status) = command::pod::role() {
        return status.into();
    }
    pipe::end_without_output();
    netloom_kernel::signals::pass_on();
    if called == "koko" {
        // What is no text is no name of anything either.
        let words = std::env::args_os().skip(1);
        let words: Vec<_> = words.map(|it| it.to_string_lossy().into_owned()).collect();
        return links::koko::main(&words);
    }
    let cli: Cli = pipe::parse();
    let caller = if called == "cnitool" {
        Caller::Cnitool
    } else {
        Caller::Netloom
    };
    let status = match command::run(&cli, caller) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            command::report(&error, cli.options.json);
            command::status_of(&error).into()
        }
    };
    netloom_kernel::signals::end_as_asked();
    status
}

/// The name it was installed as, else the one it is called by.
fn called() -> String {
    if let Some(name) = netloom_plugin::stamp::Stamp::own().name() {
        return name.to_owned();
    }
    let program = std::env::args_os().next();
    program.as_ref().map(base_name).unwrap_or_default()
}

fn base_name(program: &OsString) -> String {
    let name = Path::new(program).file_name().unwrap_or(program);
    name.to_string_lossy().into_owned()
}
