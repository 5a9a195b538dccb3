//! Rust's standard library asks at every start where the stack of the main thread ends. musl does not know, and tries
//! page by page with a system call each, some thirty, to find how much of it is in use by now; which is not what was asked.

#![expect(
    unsafe_code,
    reason = "a symbol that the linker takes in place of musl's"
)]

use std::ffi::c_int;

/// Says that nobody knows. All that depends on it is the sentence with which the standard library explains the
/// SIGSEGV of a stack that overflows: the main thread never got that from musl's answer, other threads lose it.
// SAFETY: the arguments and the result are those of musl's own; a failure leaves the attributes as they are.
#[unsafe(no_mangle)]
extern "C" fn pthread_getattr_np(
    _thread: libc::pthread_t,
    _attributes: *mut libc::pthread_attr_t,
) -> c_int {
    libc::ENOSYS
}
