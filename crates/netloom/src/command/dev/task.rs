//! Programs that are run for a step, and ended with this one.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use netloom_kernel::child;
use netloom_kernel::signal_fd::SignalFd;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// A signal came that ends the program.
#[derive(Debug, thiserror::Error)]
#[error("signal {0}")]
pub(super) struct Interrupted(pub(super) i32);

/// What a program left.
pub(super) struct Output {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Output {
    pub(super) fn is_success(&self) -> bool {
        self.code == Some(0)
    }
}

/// Runs it to its end. Its output goes to files in `home`, since somebody whom it leaves behind may keep
/// a pipe open.
pub(super) fn run(mut command: Command, home: &Path, signals: &SignalFd) -> Result<Output> {
    let what = command.get_program().to_string_lossy().into_owned();
    let (stdout, stderr) = (home.join("stdout"), home.join("stderr"));
    // The plugins that it runs are of its group, which ends with this process.
    let keeper = child::Keeper::begin()?;
    let group = keeper.group();
    command.stdin(Stdio::null());
    command.process_group(group.as_raw_nonzero().get());
    command
        .stdout(File::create(&stdout)?)
        .stderr(File::create(&stderr)?);
    child::hears_signals(child::dies_with_us(&mut command));
    let mut process = command.spawn().with_context(|| format!("run {what}"))?;
    let waited = wait(Pid::from_child(&process), signals);
    if waited.is_err() {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let status = process.wait()?;
    waited?;
    let read = |path| std::fs::read(path).map(|it| String::from_utf8_lossy(&it).into_owned());
    Ok(Output {
        code: status.code(),
        stdout: read(&stdout)?,
        stderr: read(&stderr)?,
    })
}

fn wait(process: Pid, signals: &SignalFd) -> Result<()> {
    let ended = pidfd_open(process, PidfdFlags::empty())?;
    loop {
        let mut fds = [
            PollFd::new(&ended, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !fds[1].revents().is_empty()
            && let Some(signal) = signals.next()
        {
            return Err(Interrupted(signal).into());
        }
        if !fds[0].revents().is_empty() {
            return Ok(());
        }
    }
}
