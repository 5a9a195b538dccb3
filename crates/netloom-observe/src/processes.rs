//! Processes that a program leaves behind.

use std::fs;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, pidfd_open, set_child_subreaper,
    waitid,
};

/// How long a process may take to end by itself: what waits for the kernel to free a namespace or a
/// rule takes a tenth of it.
const GRACE: Duration = Duration::from_millis(1000);

/// Has whatever programs leave behind become a child of this process.
///
/// # Errors
/// If the kernel refuses, as one without subreapers does.
pub fn adopt() -> std::io::Result<()> {
    Ok(set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// A process that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub id: i32,
    /// Its program and arguments.
    pub command: String,
}

/// The children that do not end by themselves within a second, but for those known.
#[must_use]
pub fn lingering(known: &[Process]) -> Vec<Process> {
    let deadline = Instant::now() + GRACE;
    let is_new = |id: &i32| !known.iter().any(|it| it.id == *id);
    let mut found = Vec::new();
    for id in children().into_iter().filter(is_new) {
        let Some(pid) = Pid::from_raw(id) else {
            continue;
        };
        if !ends_before(pid, deadline) {
            found.push(Process {
                id,
                command: command_of(id),
            });
        }
    }
    found
}

/// Ends them: they are this process's children, so nobody else's.
pub fn end(all: &[Process]) {
    for pid in all.iter().filter_map(|it| Pid::from_raw(it.id)) {
        if kill_process(pid, Signal::KILL).is_ok() {
            let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED);
        }
    }
}

fn ends_before(pid: Pid, deadline: Instant) -> bool {
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
        return true;
    };
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = Timespec::try_from(left).unwrap_or_default();
    let mut fds = [PollFd::new(&process, PollFlags::IN)];
    let ended = poll(&mut fds, Some(&timeout)).is_ok_and(|ready| ready > 0);
    if ended {
        let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED);
    }
    ended
}

fn children() -> Vec<i32> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    let lists =
        tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    let mut ids = Vec::new();
    for list in lists {
        ids.extend(
            list.split_whitespace()
                .filter_map(|id| id.parse::<i32>().ok()),
        );
    }
    ids
}

fn command_of(id: i32) -> String {
    let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let words: Vec<_> = line
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(String::from_utf8_lossy)
        .collect();
    words.join(" ")
}
