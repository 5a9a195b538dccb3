//! `--init`: pid 1 collects orphans and hands signals on, as most programs do neither.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, exit};

use netloom_kernel::signal_fd::SignalFd;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};

use super::Never;
use crate::channel::Channel;
use crate::error::status;

/// What is handed on, and the end of a child.
const HEARD: [Signal; 9] = [
    Signal::CHILD,
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
    Signal::WINCH,
    Signal::CONT,
];

/// Runs the command as a child, and ends as it ends. Returns only if it could not be executed.
pub(super) fn run(mut command: Command, channel: &Channel) -> io::Result<Never> {
    let child = command.spawn()?;
    let pid = Pid::from_child(&child);
    // Before the shim may send one: the kernel drops what the first process of a pod does not listen for.
    let Ok(signals) = SignalFd::listen(&HEARD) else {
        exit(i32::from(status::NOT_STARTED));
    };
    // The shim waits for the end of this: the command is executed.
    let _ = channel.socket().shutdown(std::net::Shutdown::Both);
    loop {
        while let Ok(Some((ended, how))) = wait(WaitOptions::NOHANG) {
            if ended == pid {
                let how = std::process::ExitStatus::from_raw(how.as_raw());
                let by_signal = i32::from(status::BY_SIGNAL) + how.signal().unwrap_or_default();
                exit(how.code().unwrap_or(by_signal));
            }
        }
        let mut polled = [PollFd::new(&signals, PollFlags::IN)];
        let _ = rustix::event::poll(&mut polled, None);
        while let Some(number) = signals.next() {
            match Signal::from_named_raw(number) {
                None | Some(Signal::CHILD) => {}
                Some(signal) => drop(kill_process(pid, signal)),
            }
        }
    }
}
