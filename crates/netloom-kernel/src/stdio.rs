//! Whether the program was executed without a standard output.
//!
//! Rust opens `/dev/null` for a descriptor 0, 1 or 2 that is closed, before `main`. From then on
//! a result goes nowhere and every write succeeds, as it does for who chose `/dev/null`. So the
//! descriptor is looked at before Rust does: one system call.

#![expect(
    unsafe_code,
    reason = "a function that runs before main, and a descriptor that may be closed"
)]

use std::sync::atomic::{AtomicBool, Ordering};

static OUTPUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

// SAFETY: the section holds addresses of functions that the C library calls once, before main and
// with one thread. This one makes one system call and writes one atomic.
#[unsafe(link_section = ".init_array")]
#[used]
static BEFORE_MAIN: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: it reads the flags of a descriptor and takes any number for one.
    let closed = unsafe { libc::fcntl(1, libc::F_GETFD) } < 0;
    OUTPUT_WAS_CLOSED.store(closed, Ordering::Relaxed);
}

/// Descriptor 1 was closed when this program was executed.
#[must_use]
pub fn output_was_closed() -> bool {
    OUTPUT_WAS_CLOSED.load(Ordering::Relaxed)
}
