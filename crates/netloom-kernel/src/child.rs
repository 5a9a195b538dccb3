//! Programs that are run in place of this one, and copies of this one.

use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use rustix::process::{Pid, Signal, set_parent_process_death_signal};

use crate::error::{Error, Result};

/// Has the kernel kill the program when this thread ends, however it ends: who kills this process
/// means that program.
pub fn dies_with_us(command: &mut Command) -> &mut Command {
    let bind = || {
        // SAFETY: prctl(2) with these arguments only sets an attribute of the calling process.
        #[expect(unsafe_code, reason = "rustix's call would do, but not pre_exec")]
        let failed = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } < 0;
        match failed {
            true => Err(std::io::Error::last_os_error()),
            false => Ok(()),
        }
    };
    // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
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
