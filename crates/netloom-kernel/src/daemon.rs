//! What a long-lived process needs from the kernel and its service manager.

use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

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
        let failed = || {
            let error = std::io::Error::last_os_error();
            Error::of_io("listen for", "SIGTERM and SIGINT", &error)
        };
        // SAFETY: all zeros is a valid sigset_t; the calls get pointers to it, live and initialised
        // by sigemptyset, and a null for the old mask that nobody wants.
        #[expect(unsafe_code, reason = "rustix has no signal masks and no signalfd")]
        let fd = unsafe {
            let mut signals: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut signals);
            libc::sigaddset(&mut signals, libc::SIGTERM);
            libc::sigaddset(&mut signals, libc::SIGINT);
            if libc::pthread_sigmask(libc::SIG_BLOCK, &signals, std::ptr::null_mut()) != 0 {
                return Err(failed());
            }
            libc::signalfd(-1, &signals, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if fd < 0 {
            return Err(failed());
        }
        // SAFETY: the kernel has just made this descriptor for us; nothing else owns it.
        #[expect(unsafe_code, reason = "signalfd returns a bare descriptor")]
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self(fd))
    }
}

/// The first descriptor that a service manager passes (sd_listen_fds(3)).
const FIRST_PASSED: i32 = 3;

/// Takes the one descriptor that a service manager passed to this process, and keeps it from
/// programs that this one executes.
///
/// Must be called at most once, and before anything else can have opened descriptor 3: a second
/// owner would close it under the first.
///
/// # Errors
/// EBADF if no descriptor was passed.
pub fn passed_descriptor() -> Result<OwnedFd> {
    let failed = |errno| Error::of("take", "the passed descriptor 3", errno);
    // SAFETY: borrowed only to ask the kernel whether the descriptor is open at all.
    #[expect(unsafe_code, reason = "the service manager passes a number")]
    let borrowed = unsafe { BorrowedFd::borrow_raw(FIRST_PASSED) };
    rustix::io::fcntl_setfd(borrowed, rustix::io::FdFlags::CLOEXEC)
        .map_err(|errno: Errno| failed(errno))?;
    // SAFETY: it is open, as fcntl has just said, and by the contract of this function it was
    // passed by the service manager and has no other owner.
    #[expect(unsafe_code, reason = "the service manager passes a number")]
    let fd = unsafe { OwnedFd::from_raw_fd(FIRST_PASSED) };
    Ok(fd)
}
