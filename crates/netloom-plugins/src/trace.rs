//! The wrapper of `netloom trace`: a program under a plugin's name that runs the plugin of that name
//! in another directory, passes all on to the byte, and writes down what was said.
//!
//! A program knows by its own stamp that it is a wrapper, so that nothing is looked for when a plugin
//! starts. Beside it lies a file with its [`Settings`]. Whatever the wrapper cannot do, it says in one
//! line on stderr: the plugin runs all the same.

mod record;
mod relay;
pub mod settings;

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Instant, SystemTime};

use netloom_kernel::{child, signals};
use netloom_plugin::stamp::Stamp;

use record::Record;
use relay::Said;
use settings::Settings;

/// If this program is a wrapper: runs the plugin, and returns what is left to do.
#[must_use]
pub fn run_as_wrapper() -> Option<ExitCode> {
    Stamp::own().is_wrapper().then(wrap)
}

fn wrap() -> ExitCode {
    let Some((directory, name)) = own_place() else {
        return refuse("its own path cannot be told");
    };
    let settings = Settings::read(&directory);
    let directories = settings.as_ref().map(|it| it.directories.clone());
    let Some(plugin) = find(&directory, &name, directories.unwrap_or_default()) else {
        return refuse(&format!(
            "no directory but {} has the plugin {name:?}",
            directory.display()
        ));
    };
    match settings {
        Ok(settings) => trace(&plugin, &settings),
        Err(error) => {
            complain(&error);
            let error = itself(&plugin).exec();
            refuse(&format!("{}: {error}", plugin.display()))
        }
    }
}

/// The wrapper's directory and name: it is a hard link, so that its path tells both.
fn own_place() -> Option<(PathBuf, OsString)> {
    let path = std::env::current_exe().ok()?;
    Some((path.parent()?.to_owned(), path.file_name()?.to_owned()))
}

/// The plugin of that name in the recorded directories, else in those of CNI_PATH.
fn find(own: &Path, name: &OsString, mut directories: Vec<PathBuf>) -> Option<PathBuf> {
    let path = std::env::var_os("CNI_PATH").unwrap_or_default();
    directories.extend(std::env::split_paths(&path));
    // An empty element is no directory, and wrappers that call each other would never end.
    let is_real = |it: &&PathBuf| {
        !it.as_os_str().is_empty() && it.as_path() != own && !it.join(settings::FILE).exists()
    };
    let others = directories.iter().filter(is_real);
    others.map(|it| it.join(name)).find(|path| path.is_file())
}

/// The plugin with this process's arguments and environment.
fn itself(plugin: &Path) -> Command {
    let mut arguments = std::env::args_os();
    let mut command = Command::new(plugin);
    if let Some(first) = arguments.next() {
        command.arg0(first);
    }
    command.args(arguments);
    command
}

fn trace(plugin: &Path, settings: &Settings) -> ExitCode {
    let (time, started) = (SystemTime::now(), Instant::now());
    signals::pass_on();
    signals::expect_child();
    let mut command = itself(plugin);
    let said = relay::run(child::dies_with_us(&mut command));
    let duration = started.elapsed();
    let said = match said {
        Ok(said) => said,
        Err(error) => return refuse(&format!("{}: {error}", plugin.display())),
    };
    let record = Record::new(plugin, time, duration, &said, settings.raw);
    if let Err(error) = record.append(&settings.log, settings.limit) {
        complain(&format!(
            "cannot write to {}: {error}",
            settings.log.display()
        ));
    }
    end(&said)
}

/// Ends as the plugin did.
fn end(said: &Said) -> ExitCode {
    if let Some(signal) = said.signal() {
        signals::end_by(signal);
    }
    ExitCode::from(said.code())
}

fn complain(what: &str) {
    // Nobody is left to tell if stderr fails.
    let _ = writeln!(std::io::stderr(), "netloom trace: {what}");
}

/// The wrapper cannot run the plugin.
fn refuse(what: &str) -> ExitCode {
    complain(what);
    let error = netloom_spec::Error::new(
        netloom_spec::code::INTERNAL,
        format!("netloom trace: {what}"),
    );
    let _ = writeln!(std::io::stdout(), "{}", error.to_json());
    ExitCode::FAILURE
}
