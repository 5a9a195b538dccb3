//! Keys, one at a time, from the terminal.

use std::cell::Cell;
use std::os::fd::BorrowedFd;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// The terminal on stdin, which gives each key at once until this is dropped. What is no terminal is
/// read to its end, and then not any more.
pub(super) struct Keys {
    before: Option<Termios>,
    is_open: Cell<bool>,
}

impl Keys {
    pub(super) fn begin() -> Self {
        let before = tcgetattr(rustix::stdio::stdin()).ok();
        if let Some(before) = &before {
            let mut each = before.clone();
            // Ctrl-C stays a signal.
            each.local_modes
                .remove(LocalModes::ICANON | LocalModes::ECHO);
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &each);
        }
        Self {
            before,
            is_open: Cell::new(true),
        }
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.before.is_some()
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.get()
    }

    pub(super) fn fd(&self) -> BorrowedFd<'static> {
        rustix::stdio::stdin()
    }

    /// `None`: there are no more.
    pub(super) fn read(&self) -> Option<u8> {
        let mut key = [0];
        match rustix::io::read(rustix::stdio::stdin(), &mut key) {
            Ok(1) => Some(key[0]),
            _ => {
                self.is_open.set(false);
                None
            }
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, before);
        }
    }
}
