//! The user's terminal and the pod's.

use std::os::fd::{AsFd, OwnedFd};

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
