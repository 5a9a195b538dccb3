//! Waiting for a carrier in a child: by system calls alone, without memory of its own.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::RecvFlags;

/// The name of a link as the kernel takes it.
pub(super) struct Name([libc::c_char; libc::IFNAMSIZ]);

impl Name {
    pub(super) fn new(name: &str) -> Self {
        let mut padded = [0; libc::IFNAMSIZ];
        for (to, from) in padded[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
            // Signed on x86, unsigned on Arm.
            *to = from as libc::c_char;
        }
        Self(padded)
    }
}

/// Waits until packets pass a link; `false` if they do not in time, or the link is gone. The events
/// only say that it is worth looking again.
pub(super) fn wait(
    socket: &OwnedFd,
    events: BorrowedFd<'_>,
    link: &Name,
    patience: Duration,
) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        match is_running(socket, link) {
            Some(false) => {}
            found => return found.is_some(),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        let timeout = Timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut fds = [PollFd::from_borrowed_fd(events, PollFlags::IN)];
        let _ = rustix::event::poll(&mut fds, Some(&timeout));
        // All that has come, whoever sent it. Each may be cut off: nothing of it is read.
        let mut buffer = [0; 1];
        while let Ok((1.., _)) = rustix::net::recv(events, &mut buffer, RecvFlags::DONTWAIT) {
            if Instant::now() >= deadline {
                return false;
            }
        }
    }
}

/// Whether packets pass the link; `None` if there is none of that name.
fn is_running(socket: &OwnedFd, link: &Name) -> Option<bool> {
    let mut request = libc::ifreq {
        ifr_name: link.0,
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: 0 },
    };
    // SAFETY: the request is live and writable, and as large as the kernel takes it to be.
    #[expect(unsafe_code, reason = "rustix has no SIOCGIFFLAGS")]
    let result = unsafe {
        libc::ioctl(
            socket.as_fd().as_raw_fd(),
            libc::SIOCGIFFLAGS as _,
            std::ptr::from_mut(&mut request),
        )
    };
    if result != 0 {
        return None;
    }
    // SAFETY: the kernel has just written this member of the union.
    #[expect(unsafe_code, reason = "the kernel's structure is a union")]
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    Some(i32::from(flags) & libc::IFF_RUNNING != 0)
}
