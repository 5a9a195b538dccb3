//! Time on the processor, which noise on a busy machine changes less than the time on the clock.

use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};
use rustix::io::Errno;
use rustix::process::{WaitOptions, getpgrp, getpid, set_child_subreaper, waitpgid};

/// From now on what programs leave running becomes this process's child, and is counted with them.
pub(crate) fn adopt() -> Result<()> {
    set_child_subreaper(Some(getpid())).context("cannot become the parent of what programs leave")
}

/// What all ended children have taken so far, in user space and in the kernel. Waits for those that programs left, so
/// that no program may run meanwhile but in a process group of its own. What the kernel does by itself, as when it takes a namespace down, is in nobody's
/// account.
pub(crate) fn of_children() -> Result<Duration> {
    while let Ok(_) | Err(Errno::INTR) = waitpgid(getpgrp(), WaitOptions::empty()) {}
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("getrusage")?;
    let times = [usage.user_time(), usage.system_time()];
    Ok(times
        .iter()
        .map(|time| {
            Duration::from_secs(time.tv_sec().unsigned_abs())
                + Duration::from_micros(time.tv_usec().unsigned_abs())
        })
        .sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn what_a_child_worked_is_counted() {
        let before = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().user_time();
        let count = "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done";
        Command::new("sh").args(["-c", count]).status().unwrap();
        let after = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().user_time();
        assert!(after > before, "{before} {after}");
    }
}
