//! Which C library this program was linked with: what a release is asked for first when it misbehaves.

#![expect(
    unsafe_code,
    reason = "the C libraries tell their version as a C string"
)]

use std::ffi::{CStr, c_char};

/// Its name, its version where it tells that, and how it is linked: `musl 1.2.3, static`.
#[must_use]
pub fn describe() -> String {
    let how = if cfg!(target_feature = "crt-static") {
        "static"
    } else {
        "dynamic"
    };
    match version() {
        Some(version) => format!("{NAME} {}, {how}", version.to_string_lossy()),
        None => format!("{NAME}, {how}"),
    }
}

const NAME: &str = if cfg!(any(netloom_musl, target_env = "musl")) {
    "musl"
} else if cfg!(target_env = "gnu") {
    "glibc"
} else {
    "another C library"
};

/// What musl keeps for itself: only a static program finds it.
#[cfg(all(any(netloom_musl, target_env = "musl"), target_feature = "crt-static"))]
fn version() -> Option<&'static CStr> {
    // SAFETY: musl defines it in every release, as a constant array of char that ends with 0.
    unsafe extern "C" {
        static __libc_version: c_char;
    }
    // SAFETY: it is a constant C string for as long as the program runs.
    Some(unsafe { CStr::from_ptr(&raw const __libc_version) })
}

#[cfg(all(target_env = "gnu", not(netloom_musl)))]
fn version() -> Option<&'static CStr> {
    // SAFETY: it takes nothing and returns a constant C string.
    let version: *const c_char = unsafe { libc::gnu_get_libc_version() };
    // SAFETY: as above.
    Some(unsafe { CStr::from_ptr(version) })
}

#[cfg(not(any(
    all(any(netloom_musl, target_env = "musl"), target_feature = "crt-static"),
    all(target_env = "gnu", not(netloom_musl))
)))]
fn version() -> Option<&'static CStr> {
    None
}
