//! Processes that are known by more than a number, and helpers: this program in another role.

use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::FdFlags;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::error::{Doing, Result};

/// A process: its number, and when it began, as numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: i32,
    /// Clock ticks from the boot to its begin (proc_pid_stat(5)).
    pub start: u64,
}

impl ProcessId {
    /// The process that has this number now.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may contain anything.
        let after = &stat[stat.rfind(')')? + 1..];
        let start = after.split_whitespace().nth(19)?.parse().ok()?;
        Some(Self { pid, start })
    }

    /// A descriptor of this process and no other; `None` if it is gone.
    #[must_use]
    pub fn open(self) -> Option<OwnedFd> {
        let fd = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        // The descriptor came first: what has the number now is what it is of, or has ended.
        (Self::of(self.pid) == Some(self)).then_some(fd)
    }

    /// Whether it runs. One that has ended and that nobody has asked about does not.
    pub(crate) fn runs(self) -> bool {
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        self.open().is_some_and(|fd| !wait_for(&fd, Some(&at_once)))
    }

    /// Kills it, if it is there, and waits until it is gone.
    pub(crate) fn kill(self) {
        if let Some(fd) = self.open() {
            let _ = pidfd_send_signal(&fd, Signal::KILL);
            wait_for(&fd, None);
        }
    }

    /// Asks it to end, and kills it when `patience` (seconds) has passed. Returns when it is gone.
    pub fn stop(self, patience: u64) {
        let Some(fd) = self.open() else { return };
        let _ = pidfd_send_signal(&fd, Signal::TERM);
        let limit = Timespec {
            tv_sec: patience.try_into().unwrap_or(i64::MAX),
            tv_nsec: 0,
        };
        if !wait_for(&fd, Some(&limit)) {
            let _ = pidfd_send_signal(&fd, Signal::KILL);
            wait_for(&fd, None);
        }
    }
}

/// Waits for the end of a process; `false` when the time was up before.
fn wait_for(process: &OwnedFd, limit: Option<&Timespec>) -> bool {
    loop {
        let mut polled = [PollFd::new(process, PollFlags::IN)];
        match rustix::event::poll(&mut polled, limit) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return true,
        }
    }
}

/// Starts this program in the role `verb`, with `passed` descriptors, whose numbers are its arguments, and no
/// others but stdin, stdout and stderr.
pub(crate) fn helper(
    verb: &str,
    passed: &[BorrowedFd<'_>],
    configure: impl FnOnce(&mut Command),
) -> Result<Child> {
    netloom_kernel::daemon::close_on_exec()?;
    let mut command = Command::new("/proc/self/exe");
    command.arg(verb);
    command.args(passed.iter().map(|fd| fd.as_raw_fd().to_string()));
    configure(&mut command);
    let pass = |flags| {
        passed
            .iter()
            .try_for_each(|fd| rustix::io::fcntl_setfd(fd, flags))
    };
    let started = pass(FdFlags::empty())
        .map_err(Into::into)
        .and_then(|()| command.spawn());
    let _ = pass(FdFlags::CLOEXEC);
    started.doing(|| format!("start {verb}"))
}
