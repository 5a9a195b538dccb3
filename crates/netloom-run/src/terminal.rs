//! The user's terminal and the pod's.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::process::Signal;
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use crate::error::{Doing, Result};

/// A pair of ends: ours, and the pod's.
pub(crate) struct Pty {
    pub(crate) own: OwnedFd,
    pub(crate) pods: OwnedFd,
}

impl Pty {
    pub(crate) fn open() -> Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let open = || {
            let own = rustix::pty::openpt(flags)?;
            rustix::pty::grantpt(&own)?;
            rustix::pty::unlockpt(&own)?;
            let pods = rustix::pty::ioctl_tiocgptpeer(&own, flags)?;
            Ok::<_, rustix::io::Errno>(Self { own, pods })
        };
        open().doing(|| "open a terminal for the pod")
    }
}

/// Gives the pod's terminal the size of the user's.
pub(crate) fn resize(pods: impl AsFd) {
    if let Ok(size) = tcgetwinsize(rustix::stdio::stdin()) {
        let _ = tcsetwinsize(pods, size);
    }
}

/// The user's terminal handing every key on, until this is dropped.
pub(crate) struct Raw {
    before: Option<Termios>,
}

impl Raw {
    pub(crate) fn begin() -> Self {
        let before = tcgetattr(rustix::stdio::stdin()).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw);
        }
        Self { before }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, before);
        }
    }
}

/// What is handed on to the command.
pub(crate) const HEARD: [Signal; 7] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
    Signal::WINCH,
];

/// The pod's terminal, at the user's.
pub(crate) struct Terminal {
    pub(crate) own: OwnedFd,
    raw: Option<Raw>,
    /// Whether there still is something to be typed.
    typing: bool,
    /// Whether somebody still has the other end.
    shown: bool,
}

impl Terminal {
    pub(crate) fn new(own: OwnedFd) -> Self {
        resize(&own);
        Self {
            own,
            raw: None,
            typing: false,
            shown: true,
        }
    }

    pub(crate) fn own(&self) -> BorrowedFd<'_> {
        self.own.as_fd()
    }

    pub(crate) fn begin(&mut self) {
        self.raw = Some(Raw::begin());
        self.typing = true;
    }

    /// What to wait for: the pod's output, and the user's input.
    pub(crate) fn polled(&self) -> impl Iterator<Item = PollFd<'_>> {
        let shown = self.shown.then(|| self.own.as_fd());
        let typed = (self.typing && self.shown).then(rustix::stdio::stdin);
        let polled = |fd: BorrowedFd<'static>| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let shown = shown.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        shown.into_iter().chain(typed.map(polled))
    }

    /// Hands on what [`Terminal::polled`] found ready.
    pub(crate) fn pump(&mut self, ready: &[bool]) {
        if !self.shown {
            return;
        }
        let typed = self.typing && ready.get(1) == Some(&true);
        if ready.first() == Some(&true) {
            self.shown = copy(self.own.as_fd(), rustix::stdio::stdout());
        }
        if typed {
            self.typing = copy(rustix::stdio::stdin(), self.own.as_fd());
        }
    }

    /// Shows what is left, and gives the user's terminal back.
    pub(crate) fn drain(&mut self) {
        let at_once = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        while self.shown {
            let mut polled = [PollFd::new(&self.own, PollFlags::IN)];
            match rustix::event::poll(&mut polled, Some(&at_once)) {
                Ok(1..) => self.shown = copy(self.own.as_fd(), rustix::stdio::stdout()),
                _ => break,
            }
        }
        self.raw = None;
    }
}

/// Copies what is there; `false` at the end.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> bool {
    let mut buffer = [0; 1 << 14];
    let mut left = match rustix::io::read(from, &mut buffer) {
        Ok(0) => return false,
        Ok(count) => &buffer[..count],
        Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return true,
        // EIO: nobody has the other end of a terminal.
        Err(_) => return false,
    };
    while !left.is_empty() {
        match rustix::io::write(to, left) {
            Ok(count) => left = &left[count..],
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}
