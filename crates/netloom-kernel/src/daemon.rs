//! What a long-lived process needs from the kernel and its service manager.

use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::error::{Error, Result};

/// SIGTERM and SIGINT as something to wait for beside other descriptors: readable once one came.
#[derive(Debug)]
pub struct Termination(OwnedFd);

impl AsFd for Termination {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Termination {
    /// Takes both signals from the default action, which is to end the process at once. Threads
    /// started later inherit that; call it before any is.
    ///
    /// # Errors
    /// If descriptors have run out.
    pub fn listen() -> Result<Self> {
        let failed = |errno| Error::new("listen for", "SIGTERM and SIGINT", errno);
        // SAFETY: all zeros is a valid sigset_t; the calls get pointers to it, live and initialised
        // by sigemptyset, and a null for the old mask that nobody wants.
        #[expect(unsafe_code, reason = "rustix has no signal masks and no signalfd")]
        let (refused, fd) = unsafe {
            let mut signals: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut signals);
            libc::sigaddset(&mut signals, libc::SIGTERM);
            libc::sigaddset(&mut signals, libc::SIGINT);
            let refused = libc::pthread_sigmask(libc::SIG_BLOCK, &signals, std::ptr::null_mut());
            let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
            (refused, libc::signalfd(-1, &signals, flags))
        };
        if fd < 0 {
            let error = std::io::Error::last_os_error();
            return Err(failed(error.raw_os_error().unwrap_or(libc::EIO)));
        }
        // SAFETY: the kernel has just made this descriptor for us; nothing else owns it.
        #[expect(unsafe_code, reason = "signalfd returns a bare descriptor")]
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // Its error is its return value, not errno.
        if refused != 0 {
            return Err(failed(refused));
        }
        Ok(Self(fd))
    }
}
