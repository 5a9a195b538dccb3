//! Signals as something to wait for beside other descriptors (signalfd(2)).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::process::Signal;

use crate::error::{Error, Result};

/// The size of the kernel's `signalfd_siginfo`, whose first word is the signal.
const INFO: usize = 128;

/// Signals that come to a descriptor in place of what they do otherwise, until this is dropped.
pub struct SignalFd {
    fd: OwnedFd,
    before: libc::sigset_t,
}

impl SignalFd {
    /// Takes these signals. Threads and programs that are started meanwhile have them blocked too: a
    /// program that is executed is to call [`unblock_all`] first.
    ///
    /// # Errors
    /// If descriptors have run out.
    pub fn listen(signals: &[Signal]) -> Result<Self> {
        block(signals)
            .map(|(fd, before)| Self { fd, before })
            .map_err(|e| Error::of_io("listen for", format_args!("signals {signals:?}"), &e))
    }

    /// The next signal that came; `None` if none did.
    #[must_use]
    pub fn next(&self) -> Option<i32> {
        let mut info = [0; INFO];
        match rustix::io::read(&self.fd, &mut info) {
            Ok(INFO) => Some(i32::from_ne_bytes([info[0], info[1], info[2], info[3]])),
            _ => None,
        }
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for SignalFd {
    fn drop(&mut self) {
        set_mask(&self.before);
    }
}

/// Lets every signal through, whatever the program that started this one had blocked.
pub fn unblock_all() {
    // SAFETY: all zeros is a valid sigset_t, and sigemptyset initialises it.
    #[expect(unsafe_code, reason = "rustix has no signal sets")]
    let none = unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        none
    };
    set_mask(&none);
}

fn set_mask(mask: &libc::sigset_t) {
    // SAFETY: the pointer is to a live, initialised set; a null for the old mask that nobody wants.
    #[expect(unsafe_code, reason = "rustix has no signal masks")]
    unsafe {
        libc::pthread_sigmask(libc::SIG_SETMASK, mask, std::ptr::null_mut());
    }
}

/// Blocks the signals and makes a descriptor that becomes readable when one of them came; with the mask
/// of before.
pub(crate) fn block(signals: &[Signal]) -> io::Result<(OwnedFd, libc::sigset_t)> {
    // SAFETY: all zeros is a valid sigset_t; the calls get pointers to live ones that sigemptyset has
    // initialised.
    #[expect(unsafe_code, reason = "rustix has no signal masks and no signalfd")]
    let (fd, before) = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigemptyset(&mut before);
        for signal in signals {
            libc::sigaddset(&mut set, signal.as_raw());
        }
        // Its error is its return value, not errno.
        let refused = libc::pthread_sigmask(libc::SIG_BLOCK, &set, &mut before);
        if refused != 0 {
            return Err(io::Error::from_raw_os_error(refused));
        }
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        (libc::signalfd(-1, &set, flags), before)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us; nothing else owns it.
    #[expect(unsafe_code, reason = "signalfd returns a bare descriptor")]
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok((fd, before))
}
