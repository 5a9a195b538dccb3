//! Signals that end a program, passed on to the process group of the program that it waits for.
//!
//! A child in a process group of its own does not get what a terminal sends at Ctrl-C. The handler here
//! hands it on: the program then sees its child end, and goes on as after any child that failed. Where
//! there is no child a signal ends the program at once. For one child at a time.

#![expect(unsafe_code, reason = "rustix installs no signal handlers")]

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

/// Ctrl-C, what asks a program to end, and the end of its terminal.
const ENDING: [i32; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// Nobody to pass a signal on to.
const NOBODY: i32 = 0;
/// A child is about to come: it gets what comes before it.
const SOON: i32 = -1;

/// [`NOBODY`], [`SOON`], the child's process group, or minus the number of a child without one.
static GROUP: AtomicI32 = AtomicI32::new(NOBODY);
/// What is to be passed on to the child that is about to come; 0 for nothing.
static PENDING: AtomicI32 = AtomicI32::new(0);
/// The signal that came last; 0 for none.
static CAME: AtomicI32 = AtomicI32::new(0);

/// Takes the signals from now on. What this process was started to ignore stays ignored, as nohup(1)
/// wants it.
pub fn pass_on() {
    for signal in ENDING {
        // SAFETY: the pointers are to live structures, of which all zeros are valid; the handler has the
        // type that the kernel calls, and does only what signal-safety(7) allows.
        unsafe {
            let mut old = MaybeUninit::<libc::sigaction>::zeroed();
            let asked = libc::sigaction(signal, std::ptr::null(), old.as_mut_ptr());
            if asked != 0 || old.assume_init().sa_sigaction == libc::SIG_IGN {
                continue;
            }
            let handler: extern "C" fn(i32) = handle;
            let mut new = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
            new.sa_sigaction = handler as libc::sighandler_t;
            new.sa_flags = libc::SA_RESTART;
            libc::sigaction(signal, &raw const new, std::ptr::null_mut());
        }
    }
}

extern "C" fn handle(signal: i32) {
    CAME.store(signal, SeqCst);
    match GROUP.load(SeqCst) {
        NOBODY => end_by(signal),
        SOON => PENDING.store(signal, SeqCst),
        group => send(-group, signal),
    }
}

/// A child is about to be started, or the next one after another.
pub fn expect_child() {
    GROUP.store(SOON, SeqCst);
}

/// The child runs, and leads this process group. It gets what came before.
pub fn child_started(group: u32) {
    GROUP.store(group.cast_signed(), SeqCst);
    match PENDING.swap(0, SeqCst) {
        0 => {}
        signal => send(-group.cast_signed(), signal),
    }
}

/// The child runs in this program's own process group: signals are passed on to it alone. It gets what
/// came before.
pub fn child_alone_started(process: u32) {
    GROUP.store(-process.cast_signed(), SeqCst);
    match PENDING.swap(0, SeqCst) {
        0 => {}
        signal => send(process.cast_signed(), signal),
    }
}

/// There is no child to wait for: a signal ends the program, also one that no child got.
pub fn expect_none() {
    GROUP.store(NOBODY, SeqCst);
    match PENDING.swap(0, SeqCst) {
        0 => {}
        signal => end_by(signal),
    }
}

/// Ends the program by the signal that came last, if any did, when it has said what it had to say: a
/// shell that executes a script sees by that that it is to end too.
pub fn end_as_asked() {
    match CAME.load(SeqCst) {
        0 => {}
        signal => end_by(signal),
    }
}

/// Ends the program by a signal. Within a handler it takes effect when that returns.
pub fn end_by(signal: i32) {
    // SAFETY: both may be called at any time, in a handler as well.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::kill(libc::getpid(), signal);
    }
}

fn send(to: i32, signal: i32) {
    // SAFETY: it may be called at any time, in a handler as well, and takes any numbers.
    unsafe {
        libc::kill(to, signal);
    }
}
