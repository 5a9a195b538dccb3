//! The bandwidth plugin on the real kernel, each test on a throw-away host of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test panics when the machine does not do its part"
)]

mod add;
mod bad_input;
mod check;
mod del;
mod faults;
mod flood;
mod gc;
mod mixed;
mod support;
mod traffic;
