//! Many plugins in one program, chosen by the name it is called by.

use crate::answer::Answer;
use crate::stamp::Stamp;
use crate::{Invocation, Plugin, find, run};
use netloom_invoke::Env;
use netloom_spec::{Error, Version, code};
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// The `main` of a program that is one plugin or many.
///
/// With one plugin in the table it is that plugin, whatever it is called. With many, the name it was
/// installed as chooses (see [`stamp`](crate::stamp)), else the base name it is called by (a link
/// `bridge` to the program is the plugin bridge), else the first argument (`netloom-plugins bridge`).
/// Called by none of them it lists its plugins on stdout, in alphabetical order.
#[must_use]
pub fn main(plugins: &[&'static dyn Plugin]) -> ExitCode {
    let env = Env::inherited();
    let argv: Vec<OsString> = std::env::args_os().collect();
    let (mut stdin, mut stdout, mut stderr) = (io::stdin(), Stdout, io::stderr());
    let chosen = choose(plugins, &argv);
    if let Ok((plugin, arguments)) = &chosen
        && !arguments.is_empty()
        && let Some(code) = plugin.command_line(arguments)
    {
        return code;
    }
    let status = match chosen {
        Ok((plugin, _)) => run(Invocation {
            plugin,
            registry: plugins,
            env: &env,
            stdin: &mut stdin,
            stdout: &mut stdout,
            stderr: &mut stderr,
        }),
        Err(called) => {
            let asked = env
                .get("CNI_COMMAND")
                .is_some_and(|command| !command.is_empty());
            no_plugin(plugins, &called, asked, &mut stdout, &mut stderr)
        }
    };
    ExitCode::from(u8::from(status != 0))
}

/// The plugin a program is called as and the arguments after its name, or what it was called by.
fn choose<'a>(
    plugins: &[&'static dyn Plugin],
    argv: &'a [OsString],
) -> Result<(&'static dyn Plugin, &'a [OsString]), Called> {
    let after = |count: usize| argv.get(count..).unwrap_or_default();
    if let [only] = plugins {
        return Ok((*only, after(1)));
    }
    let installed = Stamp::own();
    if let Some(plugin) = installed.name().and_then(|name| find(plugins, name)) {
        return Ok((plugin, after(1)));
    }
    let mut names = argv.iter().take(2).map(base_name);
    let program = names.next().unwrap_or_default();
    if let Some(plugin) = find(plugins, &program) {
        return Ok((plugin, after(1)));
    }
    let argument = names.next();
    argument
        .as_deref()
        .and_then(|name| find(plugins, name))
        .map(|plugin| (plugin, after(2)))
        .ok_or(Called { program, argument })
}

#[derive(Debug)]
struct Called {
    program: String,
    argument: Option<String>,
}

fn base_name(arg: &OsString) -> String {
    Path::new(arg)
        .file_name()
        .unwrap_or(arg)
        .to_string_lossy()
        .into_owned()
}

/// Called by no plugin's name: a person gets the list, a runtime an error object.
fn no_plugin(
    plugins: &[&'static dyn Plugin],
    called: &Called,
    asked: bool,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> i32 {
    let mut names: Vec<&str> = plugins.iter().map(|plugin| plugin.name()).collect();
    names.sort_unstable();
    let Called { program, argument } = called;
    if asked || argument.is_some() {
        let name = argument.as_ref().unwrap_or(program);
        let msg = format!(
            "no plugin {name:?} in this program, it holds {}",
            names.join(", ")
        );
        let error = Error::new(code::INVALID_ENVIRONMENT, msg);
        if asked {
            Answer::new(stdout, Version::LATEST).report(&error, stderr);
        } else {
            // Nobody is left to tell if stderr fails.
            let _ = writeln!(stderr, "{program}: {error}");
        }
        return 1;
    }
    let listed = writeln!(stdout, "{}", names.join("\n"));
    let hint = writeln!(
        stderr,
        "CNI plugins in one program: link {program} under one of these names, or call {program} NAME"
    );
    i32::from(listed.and(hint).is_err())
}

/// The standard output without the buffer that the standard library puts before it: a document is
/// one write(2), and what is reported as written is.
struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(rustix::stdio::stdout(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
