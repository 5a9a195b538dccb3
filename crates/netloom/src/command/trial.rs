//! `netloom try`: a network's life in a throw-away host, with what each call did and what it left.

mod attempt;
mod executed;
mod host;
mod leftovers;
mod report;
mod subject;
mod witness;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use netloom_kernel::netns::Netns;
use netloom_kernel::signals;

use super::{Misuse, Told};
use crate::cli::{Try, TryStep};
use crate::options::Options;
use attempt::Attempt;
use host::Pod;
use report::{Report, Title};
use subject::Subject;

pub(super) fn run(options: &Options, arguments: &Try) -> Result<()> {
    // All that can be wrong with the request is found before anything is made.
    let subject = Subject::find(options, arguments.subject.as_deref())
        .map_err(|error| anyhow::Error::new(Misuse(format!("{error:#}"))))?;
    let mut report = Report::new(options.json);
    let started = Instant::now();
    let stage = host::enter(&subject, arguments.pods)?;
    report.host(&stage, &subject, started.elapsed());

    let mut attempt = Attempt::new(options, &subject.network, stage)?;
    let mut guest = Guest::of(arguments);
    for step in &arguments.steps {
        if *step == TryStep::Del {
            guest.visit(&attempt.stage.pods, &mut report)?;
        }
        for pod in 0..attempt.stage.pods.len() {
            let outcome = attempt.step(*step, pod)?;
            report.step(&outcome);
            // Only what was added is left to others to look at.
            if *step == TryStep::Status {
                break;
            }
        }
    }
    guest.visit(&attempt.stage.pods, &mut report)?;
    let expects_nothing = arguments.steps.last().is_some_and(|it| *it == TryStep::Del);
    let left = attempt.end(expects_nothing)?;
    let kept = arguments.keep.then(keep).transpose()?;
    report.end(&left, expects_nothing, started.elapsed(), kept);
    if report.is_good() && guest.status == 0 {
        return Ok(());
    }
    let status = u8::try_from(guest.status).unwrap_or(1).max(1);
    Err(Told::with_status(report.verdict(), status).into())
}

/// Leaves a process in the host that does nothing, so that the host stays. Returns its number.
fn keep() -> Result<u32> {
    let mut sleeper = Command::new("sleep");
    sleeper.arg("infinity").process_group(0);
    sleeper
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Where it works in is the host's own, which nothing need keep.
    let sleeper = sleeper.current_dir("/").spawn();
    Ok(sleeper.context("keep the host by sleep(1)")?.id())
}

/// Who looks at what was added, before it is deleted: a command, a person at a shell.
struct Guest {
    command: Vec<OsString>,
    shell: bool,
    status: i32,
}

impl Guest {
    fn of(arguments: &Try) -> Self {
        Self {
            command: arguments.command.clone(),
            shell: arguments.hold,
            status: 0,
        }
    }

    /// Once.
    fn visit(&mut self, pods: &[Pod], report: &mut Report) -> Result<()> {
        let command = std::mem::take(&mut self.command);
        let first = pods.first().context("there is no pod")?;
        if let [program, arguments @ ..] = command.as_slice() {
            let started = Instant::now();
            let mut command = Command::new(program);
            command.args(arguments);
            self.status = execute(Some(&first.netns), command, report.is_json())
                .with_context(|| format!("run {} in {}", program.display(), first.name))?;
            report.line(
                self.status == 0,
                &Title::of(&format!("{} in {}", program.display(), first.name)),
                started.elapsed(),
                &format!("exit status {}", self.status),
            );
        }
        if std::mem::take(&mut self.shell) {
            report.hold(pods);
            let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
            let shell = match Path::new(&shell).exists() {
                true => shell,
                false => "/bin/sh".into(),
            };
            execute(None, Command::new(&shell), false)
                .with_context(|| format!("run the shell {}", shell.display()))?;
        }
        Ok(())
    }
}

/// Runs a program of the user's to its end, and returns its exit status. With a document on stdout its
/// output goes to stderr.
fn execute(netns: Option<&Netns>, mut command: Command, is_json: bool) -> Result<i32> {
    // A terminal's Ctrl-C reaches it, as it is in our process group; and ends us.
    signals::expect_none();
    if is_json {
        command.stdout(std::io::stderr());
    }
    let status = match netns {
        Some(netns) => netns.run(|| command.status())?,
        None => command.status(),
    }?;
    Ok(status.code().unwrap_or(1))
}
