//! What a call asks of the kernel, as `strace` sees it, and the memory it takes.

use std::collections::BTreeMap;
use std::path::Path;

use crate::call::{Call, Outcome};
use crate::{probe, skip};

/// One system call of a traced program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemCall {
    /// The thread that made it.
    pub thread: u32,
    /// Its name, for instance `sendto`.
    pub name: String,
    /// How many calls of this name the thread had made, this one included: strace's `when`.
    pub occurrence: usize,
    /// Arguments and result, as strace writes them.
    pub text: String,
}

/// All system calls of one run, those of its children included.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The system calls, in the order in which they began. The first is the program's own
    /// `execve`.
    pub calls: Vec<SystemCall>,
    /// What came of the run.
    pub outcome: Outcome,
}

impl Trace {
    /// Runs the call under strace, or says through [`skip`] that there is none.
    #[must_use]
    pub fn of(call: &Call) -> Option<Self> {
        if !has_strace() {
            return None;
        }
        let log = TraceLog::new();
        let outcome = call.under("strace", &log.options(&[])).run();
        let calls = log.calls();
        Some(Self { calls, outcome })
    }

    /// How many calls have this name.
    #[must_use]
    pub fn count(&self, name: &str) -> usize {
        self.calls.iter().filter(|call| call.name == name).count()
    }

    /// The programs that were executed by the program.
    #[must_use]
    pub fn executions(&self) -> Vec<&SystemCall> {
        let executions = self.calls.iter().skip(1);
        executions
            .filter(|call| call.name.starts_with("execve"))
            .collect()
    }

    /// The calls that wait for nothing but time: sleeps, and polls of no descriptor.
    #[must_use]
    pub fn sleeps(&self) -> Vec<&SystemCall> {
        let sleeps = |call: &&SystemCall| match call.name.as_str() {
            "nanosleep" | "clock_nanosleep" | "pause" => true,
            "poll" | "ppoll" => call.text.starts_with("NULL, 0") || call.text.starts_with("[], 0"),
            "select" | "pselect6" => call.text.starts_with("0, NULL, NULL, NULL"),
            _ => false,
        };
        self.calls.iter().filter(sleeps).collect()
    }
}

/// The most memory that a call had resident at any time, in KiB, and what came of it; `None`
/// after a [`skip`] where GNU `time` is missing.
#[must_use]
pub fn peak_memory(call: &Call) -> Option<(u64, Outcome)> {
    if !probe::has_program("time") {
        skip("no program time (Debian's package time) to measure memory with");
        return None;
    }
    let log = temporary();
    let path = log.path().join("rss").to_string_lossy().into_owned();
    let outcome = call.under("time", &["-q", "-f", "%M", "-o", &path]).run();
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let Ok(kib) = text.trim().parse() else {
        panic!("time should print a number of KiB, not {text:?}\n{outcome}");
    };
    Some((kib, outcome))
}

/// Whether strace is here; otherwise says through [`skip`] that it is not.
pub(crate) fn has_strace() -> bool {
    let here = probe::has_program("strace");
    if !here {
        skip("no program strace");
    }
    here
}

/// A directory for what strace writes; removed when dropped.
pub(crate) struct TraceLog(tempfile::TempDir);

impl TraceLog {
    pub(crate) fn new() -> Self {
        Self(temporary())
    }

    pub(crate) fn directory(&self) -> &Path {
        self.0.path()
    }

    /// Options of strace: follow children, write here, and these.
    pub(crate) fn options(&self, more: &[&str]) -> Vec<String> {
        let file = self.directory().join("log").to_string_lossy().into_owned();
        let options = ["-f", "-qq", "-s", "64", "-o", &file];
        options
            .iter()
            .chain(more)
            .map(|o| (*o).to_owned())
            .collect()
    }

    /// Everything written so far, one run after the other.
    pub(crate) fn text(&self) -> String {
        let entries = std::fs::read_dir(self.directory()).into_iter().flatten();
        let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("log")
        });
        files.sort();
        let read = |path| std::fs::read(path).unwrap_or_default();
        files
            .into_iter()
            .map(|path| String::from_utf8_lossy(&read(path)).into_owned())
            .collect()
    }

    pub(crate) fn calls(&self) -> Vec<SystemCall> {
        parse(&self.text())
    }
}

fn temporary() -> tempfile::TempDir {
    let made = tempfile::Builder::new().prefix("netloom-trace-").tempdir();
    made.unwrap_or_else(|error| panic!("cannot make a temporary directory: {error}"))
}

/// Reads lines of `strace -f -o`: `PID name(arguments) = result`. The end of a call that another
/// thread interrupted is of no interest; signals and exits are no calls.
fn parse(log: &str) -> Vec<SystemCall> {
    let mut counts: BTreeMap<(u32, String), usize> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let Ok(thread) = thread.parse() else { continue };
        let Some((name, text)) = rest.trim_start().split_once('(') else {
            continue;
        };
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        // Strace does not count the execve that starts the traced program.
        let own_start = name == "execve" && calls.is_empty();
        let count = counts.entry((thread, name.to_owned())).or_default();
        *count += usize::from(!own_start);
        calls.push(SystemCall {
            thread,
            name: name.to_owned(),
            occurrence: *count,
            text: text.to_owned(),
        });
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupted_calls_signals_and_exits_are_read_once_or_not_at_all() {
        let log = "7 execve(\"/bin/x\", [\"x\"], 0x1 /* 3 vars */) = 0
7  read(0,  <unfinished ...>
8  read(3, \"a\", 1)               = 1
7  <... read resumed>\"x\", 9)      = 1
7  --- SIGCHLD {si_signo=SIGCHLD} ---
7  read(0, \"\", 8)                 = 0
7  +++ exited with 0 +++
";
        let calls = parse(log);
        let told: Vec<_> = calls
            .iter()
            .map(|call| (call.thread, call.name.as_str(), call.occurrence))
            .collect();
        let reads = [(7, "read", 1), (8, "read", 1), (7, "read", 2)];
        assert_eq!(told[0], (7, "execve", 0));
        assert_eq!(told[1..], reads);
    }
}
