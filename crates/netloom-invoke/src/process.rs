//! Plugins as executables.

mod conversation;
mod end;
mod interpreter;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use self::conversation::{Conversation, Ending, LARGEST};
use crate::stderr::Log;
use crate::{Error, Exec, Limits, Stderr, Watch, outcome};

/// The first wait for an executable that is open for writing. Each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(1);

/// How often such an executable is tried: waits of 1 ms to 1024 ms, two seconds in all.
const TRIES: u32 = 12;

/// Executes plugins as processes.
///
/// The plugin gets exactly the environment given. Its stdout is read to where it was when the
/// plugin ended: a process that the plugin left behind holding the pipe does not hold up the
/// caller.
#[derive(Clone, Debug, Default)]
pub struct ProcessExec {
    /// How long a plugin may run; `None` is forever. When the time is up, the plugin and the
    /// processes it started (its process group) are killed.
    pub time_limit: Option<Duration>,
    /// Where the plugin's stderr goes.
    pub stderr: Stderr,
    /// Who is to know which plugin runs. Then each has a process group of its own, as with a time limit.
    pub watch: Option<Arc<dyn Watch>>,
}

impl Exec for ProcessExec {
    fn exec_plugin(
        &self,
        plugin: &Path,
        stdin: &[u8],
        env: &[(OsString, OsString)],
    ) -> Result<Vec<u8>, Error> {
        self.exec_plugin_within(plugin, stdin, env, &Limits::none())
    }

    fn exec_plugin_within(
        &self,
        plugin: &Path,
        stdin: &[u8],
        env: &[(OsString, OsString)],
        limits: &Limits,
    ) -> Result<Vec<u8>, Error> {
        limits.allow(plugin)?;
        let time = self.time(limits);
        let limits = match time.and_then(|time| Instant::now().checked_add(time)) {
            Some(deadline) => &limits.clone().until(deadline),
            None => limits,
        };
        let has_group = self.watch.is_some() || limits.is_bounded();
        let watched = Watched::starting(self.watch.as_deref());
        let child = self
            .start(plugin, env, limits, has_group)
            .map_err(|cause| Error::Start {
                plugin: plugin.to_owned(),
                cause: interpreter::blame(plugin, cause),
            })?;
        watched.started(child.id());
        let mut log = Log::new(&self.stderr);
        let ending = Conversation::new(child, stdin, has_group).hold(limits, &mut log);
        drop(watched);
        judge(plugin, ending, time, &log)
    }
}

/// One plugin's life, told to who watches; dropped when it has ended.
struct Watched<'a>(Option<&'a dyn Watch>);

impl<'a> Watched<'a> {
    fn starting(watch: Option<&'a dyn Watch>) -> Self {
        if let Some(watch) = watch {
            watch.starting();
        }
        Self(watch)
    }

    fn started(&self, group: u32) {
        if let Some(watch) = self.0 {
            watch.started(group);
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if let Some(watch) = self.0 {
            watch.ended();
        }
    }
}

impl ProcessExec {
    /// Starts the plugin. An executable that somebody has open for writing is tried again, as
    /// installers replace plugins on a running host, and as a program that writes an executable
    /// while another of its threads forks has it open for a moment in the child.
    fn start(
        &self,
        plugin: &Path,
        env: &[(OsString, OsString)],
        limits: &Limits,
        has_group: bool,
    ) -> io::Result<Child> {
        let mut command = self.command(plugin, env, has_group);
        let mut wait = FIRST_WAIT;
        for _ in 1..TRIES {
            match command.spawn() {
                Err(error) if Errno::from_io_error(&error) == Some(Errno::TXTBSY) => {}
                started => return started,
            }
            let is_late = limits.time_left().is_some_and(|left| left <= wait);
            if is_late || limits.is_cancelled() {
                break;
            }
            thread::sleep(wait);
            wait *= 2;
        }
        command.spawn()
    }

    /// How long a plugin may run: the shorter of its own limit and what the caller has left.
    fn time(&self, limits: &Limits) -> Option<Duration> {
        match (self.time_limit, limits.time_left()) {
            (Some(own), Some(left)) => Some(own.min(left)),
            (own, left) => own.or(left),
        }
    }

    /// A group of its own lets a time limit reach delegates too. Without one the plugin stays in ours,
    /// so that a terminal's Ctrl-C reaches it.
    fn command(&self, plugin: &Path, env: &[(OsString, OsString)], has_group: bool) -> Command {
        let mut command = Command::new(in_directory(plugin));
        command
            .env_clear()
            .envs(env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(match self.stderr {
            Stderr::Inherit => Stdio::inherit(),
            Stderr::PassThrough | Stderr::Capture(_) => Stdio::piped(),
        });
        if has_group {
            command.process_group(0);
        }
        command
    }
}

fn judge(
    plugin: &Path,
    ending: io::Result<Ending>,
    time: Option<Duration>,
    log: &Log<'_>,
) -> Result<Vec<u8>, Error> {
    let (plugin, stderr) = (
        || plugin.to_owned(),
        || String::from_utf8_lossy(log.end()).into_owned(),
    );
    Err(match ending {
        Ok(Ending::Exit { status, stdout }) if status.success() => return Ok(stdout),
        Ok(Ending::Exit { status, stdout }) => {
            outcome::failure(end::text(status), &stdout, log.end())
        }
        Ok(Ending::TimeUp) => Error::TimeLimit {
            plugin: plugin(),
            limit: time.unwrap_or_default(),
            stderr: stderr(),
        },
        Ok(Ending::Cancelled) => Error::Cancelled {
            plugin: plugin(),
            stderr: stderr(),
        },
        Ok(Ending::TooMuch) => Error::TooMuchOutput {
            plugin: plugin(),
            limit: LARGEST,
            stderr: stderr(),
        },
        Err(cause) => Error::Conversation {
            plugin: plugin(),
            cause,
            stderr: stderr(),
        },
    })
}

/// A bare file name would be looked up in `PATH`.
fn in_directory(plugin: &Path) -> PathBuf {
    match plugin.components().count() {
        1 => Path::new(".").join(plugin),
        _ => plugin.to_owned(),
    }
}
