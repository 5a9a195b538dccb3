//! One execution of the plugin.

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::shell;

/// How long a call may take before it is killed.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// How long stdout may stay open when the plugin has ended.
const CLOSING: Duration = Duration::from_secs(2);
/// The pauses of a caller that writes slowly.
const PAUSE: Duration = Duration::from_millis(10);

/// What is special about how the plugin is called.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum CallMode {
    #[default]
    Usual,
    /// stdin comes in pieces, with pauses.
    Slowly,
    /// It is killed with what it started, that long after its start.
    Killed(Duration),
    /// One of its outputs is full: `stdout` or `stderr`.
    Full(&'static str),
    /// Its working directory.
    In(PathBuf),
}

/// What the plugin is called with.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) env: Vec<(String, String)>,
    pub(crate) stdin: String,
    pub(crate) mode: CallMode,
}

impl Request {
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self
    }

    pub(crate) fn stdin(mut self, text: impl Into<String>) -> Self {
        self.stdin = text.into();
        self
    }

    pub(crate) fn mode(mut self, mode: CallMode) -> Self {
        self.mode = mode;
        self
    }

    pub(crate) fn variable(&self, name: &str) -> &str {
        let found = self.env.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// The same from a shell.
    pub(crate) fn line(&self, plugin: &Path) -> String {
        let variables = self.env.iter().map(|(name, value)| {
            let pair = format!("{name}={value}");
            format!(" {}", shell::word(&pair))
        });
        let variables: String = variables.collect();
        let (stdin, plugin) = (
            shell::word(&self.stdin),
            shell::word(&plugin.to_string_lossy()),
        );
        let call = format!("env -i{variables} {plugin}");
        match &self.mode {
            CallMode::Usual => format!("printf %s {stdin} | {call}"),
            CallMode::Slowly => {
                let half = self.stdin.len() / 2;
                let (head, tail) = self
                    .stdin
                    .split_at_checked(half)
                    .unwrap_or((&self.stdin, ""));
                let (head, tail) = (shell::word(head), shell::word(tail));
                format!("(printf %s {head}; sleep 0.1; printf %s {tail}) | {call}")
            }
            CallMode::Killed(after) => {
                let seconds = after.as_secs_f64();
                format!("printf %s {stdin} | timeout -s KILL {seconds:.4} {call}")
            }
            CallMode::Full("stdout") => format!("printf %s {stdin} | {call} >/dev/full"),
            CallMode::Full(_) => format!("printf %s {stdin} | {call} 2>/dev/full"),
            CallMode::In(dir) => {
                let dir = shell::word(&dir.to_string_lossy());
                format!("(cd {dir}; rmdir {dir}; printf %s {stdin} | {call})")
            }
        }
    }
}

/// What came of a call.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) time: Duration,
    /// It took too long and was killed.
    pub(crate) is_late: bool,
    /// stdout was still open when the plugin had ended: somebody else has it.
    pub(crate) is_held: bool,
}

impl Said {
    pub(crate) fn is_success(&self) -> bool {
        self.status.success()
    }

    /// How it ended, in words.
    pub(crate) fn ending(&self) -> String {
        if self.is_late {
            return format!("no end within {} s", LIMIT.as_secs());
        }
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("killed by signal {signal}"),
            (None, None) => "no exit status".to_owned(),
        }
    }
}

/// Executes it to its end.
pub(crate) fn run(plugin: &Path, request: &Request) -> std::io::Result<Said> {
    let mut command = Command::new(plugin);
    command
        .env_clear()
        .envs(request.env.iter().map(|(name, value)| (name, value)))
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full");
    match &request.mode {
        CallMode::Full("stdout") => drop(command.stdout(full()?)),
        CallMode::Full(_) => drop(command.stderr(full()?)),
        CallMode::In(dir) => drop(command.current_dir(dir)),
        _ => {}
    }
    let started = Instant::now();
    let mut child = command.spawn()?;
    if let CallMode::In(dir) = &request.mode {
        std::fs::remove_dir(dir)?;
    }
    let (stdout, stderr) = (read(child.stdout.take()), read(child.stderr.take()));
    feed(&mut child, request);
    let limit = match request.mode {
        CallMode::Killed(after) => after,
        _ => LIMIT,
    };
    let ended = ends_within(&child, limit);
    if !ended {
        let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
    }
    let status = child.wait()?;
    let time = started.elapsed();
    let deadline = Instant::now() + CLOSING;
    let (stdout, is_held) = collect(&stdout, deadline);
    let (stderr, _) = collect(&stderr, deadline);
    Ok(Said {
        status,
        stdout,
        stderr,
        time,
        is_late: !ended && limit == LIMIT,
        is_held,
    })
}

/// A plugin that does not read its stdin is free to.
fn feed(child: &mut Child, request: &Request) {
    let Some(mut pipe) = child.stdin.take() else {
        return;
    };
    let bytes = request.stdin.clone().into_bytes();
    let slowly = request.mode == CallMode::Slowly;
    std::thread::spawn(move || {
        let piece = match slowly {
            true => bytes.len().div_ceil(8).max(1),
            false => bytes.len().max(1),
        };
        for part in bytes.chunks(piece) {
            if pipe.write_all(part).and_then(|()| pipe.flush()).is_err() {
                return;
            }
            if slowly {
                std::thread::sleep(PAUSE);
            }
        }
    });
}

fn ends_within(child: &Child, limit: Duration) -> bool {
    let Ok(process) = pidfd_open(Pid::from_child(child), PidfdFlags::empty()) else {
        return true;
    };
    let timeout = Timespec::try_from(limit).unwrap_or_default();
    let mut fds = [PollFd::new(&process, PollFlags::IN)];
    poll(&mut fds, Some(&timeout)).is_ok_and(|ready| ready > 0)
}

/// Pieces of an output as they come; the channel ends with it.
fn read(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (send, pieces): (Sender<Vec<u8>>, _) = channel();
    if let Some(mut pipe) = pipe {
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                if send.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
    }
    pieces
}

/// All that came, and whether more could still come.
fn collect(pieces: &Receiver<Vec<u8>>, deadline: Instant) -> (String, bool) {
    let mut bytes = Vec::new();
    let is_open = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match pieces.recv_timeout(left) {
            Ok(piece) => bytes.extend(piece),
            Err(error) => break error == std::sync::mpsc::RecvTimeoutError::Timeout,
        }
    };
    (String::from_utf8_lossy(&bytes).into_owned(), is_open)
}
