//! What a long-lived process needs from the kernel and its service manager.

use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::Signal;

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
        crate::signal_fd::block(&[Signal::TERM, Signal::INT])
            .map(|(fd, _)| Self(fd))
            .map_err(|e| Error::of_io("listen for", "SIGTERM and SIGINT", &e))
    }
}

/// The descriptors before this are stdin, stdout and stderr.
const FIRST_NOT_STANDARD: i32 = 3;

/// Takes a descriptor that the program which started this one left open under this number, and keeps it
/// from programs that this one executes.
///
/// Must be called at most once for each number, and before anything else can have opened it: a second
/// owner would close it under the first.
///
/// # Errors
/// EBADF if no such descriptor is open.
pub fn inherited_descriptor(number: i32) -> Result<OwnedFd> {
    let failed = |errno| Error::of("take the passed descriptor", number, errno);
    if number < FIRST_NOT_STANDARD {
        return Err(failed(Errno::BADF));
    }
    // SAFETY: borrowed only to ask the kernel whether the descriptor is open at all.
    #[expect(unsafe_code, reason = "descriptors are passed by number")]
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_setfd(borrowed, rustix::io::FdFlags::CLOEXEC)
        .map_err(|errno: Errno| failed(errno))?;
    // SAFETY: it is open, as fcntl has just said, and by the contract of this function it was
    // passed by whoever started this program and has no other owner.
    #[expect(unsafe_code, reason = "descriptors are passed by number")]
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    Ok(fd)
}

/// Keeps every descriptor but stdin, stdout and stderr from programs that are executed from now on, also
/// those that whoever started this program left open by mistake.
///
/// # Errors
/// If the kernel cannot (before Linux 5.11).
pub fn close_on_exec() -> Result<()> {
    // SAFETY: sets a flag of descriptors and takes numbers only.
    #[expect(unsafe_code, reason = "rustix has no close_range")]
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            FIRST_NOT_STANDARD,
            i32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    match result {
        0 => Ok(()),
        _ => {
            let error = std::io::Error::last_os_error();
            Err(Error::of_io("keep", "descriptors from programs", &error))
        }
    }
}
