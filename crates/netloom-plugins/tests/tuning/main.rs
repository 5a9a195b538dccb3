//! The tuning plugin on the real kernel, each test on a throw-away host of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test panics when the machine does not do its part"
)]

mod add;
mod allowlist;
mod bad_input;
mod check;
mod del;
mod faults;
mod gc;
mod host_end;
mod mixed;
mod names;
mod status;
mod support;
