//! `netloom`, the command: cnitool's verbs, and everything beyond them.
//!
//! Called as `cnitool` it answers as cnitool; called by the name of a plugin it is that plugin.

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

mod cli;
mod command;
mod demo;
mod environment;
mod execution;
mod help;
mod keys;
mod lint;
mod near;
mod pipe;
mod schema;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use netloom_kernel::c_library;

use cli::Cli;
use command::Caller;

fn main() -> ExitCode {
    let called = called();
    let plugins = netloom_plugins::registry::PLUGINS;
    if netloom_plugin::find(plugins, &called).is_some() {
        netloom_plugin::tell_build(c_library::describe);
        return netloom_plugin::main(plugins);
    }
    pipe::end_without_output();
    netloom_kernel::signals::pass_on();
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
