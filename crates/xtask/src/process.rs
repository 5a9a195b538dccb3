//! Running other programs: loudly when they fail, in full view while they run.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// Runs a command with its output in view; an error names it and how it ended.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = shown(command);
    let status = command
        .status()
        .with_context(|| format!("cannot run {line}"))?;
    ensure!(status.success(), "{line}: {status}");
    Ok(())
}

/// Runs a command and returns what it wrote to stdout; stderr stays in view.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let line = shown(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {line}"))?;
    ensure!(output.status.success(), "{line}: {}", output.status);
    Ok(output.stdout)
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .collect();
    words.join(OsStr::new(" ")).to_string_lossy().into_owned()
}

/// Whether this process may do what only root may.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Finds a program as a shell would, in the administrator's folders too.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(more)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// How a streamed command ended.
pub(crate) enum Ending {
    Exited(ExitStatus),
    /// It outlived the limit and was killed with its process group.
    TimedOut,
}

/// Runs a command in a process group of its own and hands each line of its stdout to `see`, as it comes.
pub(crate) fn stream(
    command: &mut Command,
    limit: Duration,
    mut see: impl FnMut(&str),
) -> Result<Ending> {
    let line = shown(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot run {line}"))?;
    let stdout = child.stdout.take().context("a piped stdout is there")?;
    let (sender, receiver) = mpsc::channel();
    // Not joined: a grandchild that outlives the command may hold the pipe for ever.
    std::thread::spawn(move || read_lines(stdout, &sender));
    let end = Instant::now() + limit;
    let timed_out = loop {
        match receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(text) => see(&text),
            Err(mpsc::RecvTimeoutError::Disconnected) => break false,
            Err(mpsc::RecvTimeoutError::Timeout) => break true,
        }
        if Instant::now() > end {
            break true;
        }
    };
    if timed_out {
        let group = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL)
            .with_context(|| format!("cannot kill {line}"))?;
        child.wait()?;
        return Ok(Ending::TimedOut);
    }
    Ok(Ending::Exited(child.wait()?))
}

/// Asks a command that has a process group of its own to end, with all in it, and waits for it.
pub(crate) fn terminate_group(child: &mut Child) {
    let group = rustix::process::Pid::from_child(child);
    // An error means that it has ended already.
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
    let _ = child.wait();
}

fn read_lines(from: impl std::io::Read, to: &mpsc::Sender<String>) {
    for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        if to
            .send(String::from_utf8_lossy(&line).into_owned())
            .is_err()
        {
            return;
        }
    }
}

/// A headline that is easy to find in a long log.
pub(crate) fn headline(text: &str) {
    println!("\n──── {text} ────");
    // Child processes write to the same place: keep the order. A closed stdout shows at the next line.
    let _ = std::io::stdout().flush();
}
