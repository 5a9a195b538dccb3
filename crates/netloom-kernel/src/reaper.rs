//! Processes that wait for the kernel in this one's place.
//!
//! What is taken away is out of everybody's sight at once, but the kernel frees it only when no
//! reader can hold it any more, 10 to 30 ms later, and has somebody wait for that: who removes a
//! link, or who closes an nf_tables socket shortly after anything was deleted. A program that is
//! about to end has no use for that time, but its caller waits for it. So it leaves a child
//! behind that waits instead, and ends by itself. Nothing depends on it: where it is missing or
//! killed, the kernel does the same while this process waits or exits.

use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::netns::OF_THIS_THREAD;

static ALLOWED: AtomicBool = AtomicBool::new(false);
static HELD: Mutex<Held> = Mutex::new(Held::NOTHING);

/// `MEMBARRIER_CMD_GLOBAL`: returns when every reader of now has finished.
const WAIT_FOR_READERS: i32 = 1;

/// What is closed by a reaper when the program ends.
struct Held {
    sockets: Vec<OwnedFd>,
    /// Things were deleted by one of them.
    deleted: bool,
    /// There if things were deleted and nobody forbids it: tells others in this namespace, for as
    /// long as it is open in any process, that closing a socket takes long.
    mark: Option<OwnedFd>,
}

impl Held {
    const NOTHING: Self = Self {
        sockets: Vec::new(),
        deleted: false,
        mark: None,
    };
}

/// Lets this process leave reapers behind. For programs that end soon: init takes care of
/// children that outlive their parent, but in a program that lives on each would stay a zombie.
pub fn allow() {
    ALLOWED.store(true, Ordering::Relaxed);
}

pub(crate) fn is_allowed() -> bool {
    ALLOWED.load(Ordering::Relaxed)
}

/// To be called right before the program ends, when what it had to say is said: the sockets that
/// take long to close are closed by a reaper.
pub fn take_over() {
    let held = mem::replace(&mut *lock(), Held::NOTHING);
    if held.sockets.is_empty() || !(held.deleted || is_marked()) {
        return;
    }
    let descriptors: Vec<RawFd> = held
        .sockets
        .iter()
        .chain(&held.mark)
        .map(AsRawFd::as_raw_fd)
        .collect();
    let wait = || {
        // The kernel's own waiting began with the last change, or with what was under way then:
        // after the second time it is over, and no lock is held for it.
        for _ in 0..2 {
            membarrier();
        }
    };
    // Without a child the sockets take as long to close as they take.
    let _ = start(&descriptors, wait);
}

/// Keeps a socket open to the end of the program, if a reaper may close it then. `deleted`:
/// things were deleted by it, in the network namespace of the calling thread.
pub(crate) fn hold(socket: OwnedFd, deleted: bool) {
    if !is_allowed() {
        return;
    }
    let mut held = lock();
    held.sockets.push(socket);
    held.deleted |= deleted;
    if deleted && held.mark.is_none() {
        held.mark = netns_with(FlockOperation::NonBlockingLockShared).ok();
    }
}

/// Whether somebody's deletion may still be under way in this namespace.
fn is_marked() -> bool {
    netns_with(FlockOperation::NonBlockingLockExclusive).is_err_and(|it| it == Errno::WOULDBLOCK)
}

/// The network namespace itself is what is locked: all its processes have it, and no others.
fn netns_with(lock: FlockOperation) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let netns = rustix::fs::open(OF_THIS_THREAD, flags, Mode::empty())?;
    rustix::fs::flock(&netns, lock)?;
    Ok(netns)
}

fn lock() -> std::sync::MutexGuard<'static, Held> {
    HELD.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Sends a message on a socket whose answers this process reads. Returns a descriptor that becomes
/// readable when the reaper has ended; `None` where there is no reaper, and nothing was sent.
pub(crate) fn send(socket: BorrowedFd<'_>, message: &[u8]) -> Option<OwnedFd> {
    if !is_allowed() {
        return None;
    }
    let send = || {
        let _ = rustix::net::send(socket, message, rustix::net::SendFlags::empty());
    };
    start(&[socket.as_raw_fd()], send)
}

/// Runs `work` in a child that has these descriptors and no other. `work` makes system calls and
/// nothing else: another thread may have held the allocator's lock, or any other, at the fork.
pub(crate) fn start(kept: &[RawFd], work: impl FnOnce()) -> Option<OwnedFd> {
    let mut kept = kept.to_vec();
    kept.sort_unstable();
    // SAFETY: the child makes system calls only, neither allocates nor takes locks nor unwinds,
    // and leaves by _exit, which runs nothing of the parent's.
    #[expect(unsafe_code, reason = "rustix has no fork")]
    let child = unsafe { libc::fork() };
    if child == 0 {
        close_all_but(&kept);
        let _ = rustix::process::chdir(c"/");
        work();
        // SAFETY: ends the child at once.
        #[expect(unsafe_code, reason = "rustix has no _exit")]
        unsafe {
            libc::_exit(0)
        }
    }
    if child < 0 {
        return None;
    }
    pidfd_open(Pid::from_raw(child)?, PidfdFlags::empty()).ok()
}

/// A caller waits for the end of the pipes that the parent answers on. `kept` is sorted.
fn close_all_but(kept: &[RawFd]) {
    let mut first = 0;
    for descriptor in kept {
        close_range(first, descriptor - 1);
        first = descriptor + 1;
    }
    close_range(first, RawFd::MAX);
}

fn close_range(first: RawFd, last: RawFd) {
    if first > last {
        return;
    }
    // SAFETY: in the child, which uses none of these descriptors and runs no destructor.
    #[expect(unsafe_code, reason = "rustix has no close_range")]
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result != 0 {
        // Before Linux 5.9: at least what a caller may wait for.
        for descriptor in first..=last.min(2) {
            // SAFETY: as above.
            #[expect(unsafe_code, reason = "the descriptor's owner is in the parent")]
            unsafe {
                libc::close(descriptor);
            }
        }
    }
}

fn membarrier() {
    // SAFETY: takes numbers only.
    #[expect(unsafe_code, reason = "rustix has no global membarrier")]
    unsafe {
        libc::syscall(libc::SYS_membarrier, WAIT_FOR_READERS, 0, 0);
    }
}
