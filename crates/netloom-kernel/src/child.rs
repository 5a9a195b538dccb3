//! Programs that are run in place of this one, and copies of this one.

use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, getppid, kill_current_process_group,
    kill_process, pidfd_open, set_parent_process_death_signal, setpgid, waitpid,
};

use crate::error::{Error, Result};

/// Has the kernel kill the program when this thread ends, however it ends: who kills this process
/// means that program.
pub fn dies_with_us(command: &mut Command) -> &mut Command {
    let us = getpid();
    let bind = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // Who ended before that asked for nothing. In a new PID namespace no parent is seen.
        match getppid() {
            Some(parent) if parent != us => Err(std::io::ErrorKind::NotFound.into()),
            _ => Ok(()),
        }
    };
    // SAFETY: between fork and exec the closure makes two system calls and allocates nothing.
    #[expect(unsafe_code, reason = "it runs in the child before exec")]
    unsafe {
        command.pre_exec(bind)
    }
}

/// Has the program begin with no signal blocked, whatever is blocked here.
pub fn hears_signals(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
    #[expect(unsafe_code, reason = "it runs in the child before exec")]
    unsafe {
        command.pre_exec(|| {
            crate::signal_fd::unblock_all();
            Ok(())
        })
    }
}

/// The first process of a group, which has all of the group killed when this process ends, however it ends.
/// [`dies_with_us`] is for one program alone: what that has started outlives it.
#[derive(Debug)]
pub struct Keeper(Pid);

impl Keeper {
    /// Begins a group, before anybody else is in it.
    ///
    /// # Errors
    /// When there can be no further process.
    pub fn begin() -> Result<Self> {
        let failed = |e| Error::of("watch", "this process", e);
        let us = pidfd_open(getpid(), PidfdFlags::empty()).map_err(failed)?;
        // SAFETY: the child makes system calls only, neither allocates nor takes locks nor unwinds, and
        // never returns: it is killed with its group, or by the parent.
        #[expect(unsafe_code, reason = "rustix has no fork")]
        let child = unsafe { libc::fork() };
        if child == 0 {
            let _ = setpgid(None, None);
            let mut ended = [PollFd::new(&us, PollFlags::IN)];
            while ended[0].revents().is_empty() {
                let _ = poll(&mut ended, None);
            }
            let _ = kill_current_process_group(Signal::KILL);
            // SAFETY: ends the child at once.
            #[expect(unsafe_code, reason = "rustix has no _exit")]
            unsafe {
                libc::_exit(0)
            }
        }
        let child = Pid::from_raw(child.max(0)).ok_or_else(|| {
            let cause = std::io::Error::last_os_error();
            Error::of_io("start", "a process", &cause)
        })?;
        // Whichever of the two is first: from here on the group is there.
        let _ = setpgid(Some(child), Some(child));
        Ok(Self(child))
    }

    /// The group's id.
    #[must_use]
    pub fn group(&self) -> Pid {
        self.0
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::KILL);
        let _ = waitpid(Some(self.0), WaitOptions::empty());
    }
}

/// Runs `work` in a copy of this process, whose one thread is a copy of the calling one, and returns the
/// copy's id for the caller to wait for. It has an exit status of 0 where `work` returned, and 1 where
/// it panicked; nothing else of the parent's runs in it. It is killed when the calling thread ends.
///
/// In a program of several threads a lock that another one held at that moment stays locked in the copy
/// for ever. The C library sees to its allocator; whoever calls this has a time limit for the rest.
///
/// # Errors
/// When there can be no further process.
pub fn copy(work: impl FnOnce()) -> Result<Pid> {
    // SAFETY: the child runs on a copy of this thread's stack and of all memory. What other threads
    // guarded by locks stays locked, so nothing is seen half changed. It never returns from this
    // function: panics are caught, and _exit runs nothing of the parent's.
    #[expect(unsafe_code, reason = "rustix has no fork")]
    let child = unsafe { libc::fork() };
    if child == 0 {
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
        let failed = catch_unwind(AssertUnwindSafe(work)).is_err();
        // SAFETY: ends the child at once.
        #[expect(unsafe_code, reason = "rustix has no _exit")]
        unsafe {
            libc::_exit(i32::from(failed))
        }
    }
    Pid::from_raw(child.max(0)).ok_or_else(|| {
        let cause = std::io::Error::last_os_error();
        Error::of_io("start", "a copy of this process", &cause)
    })
}
