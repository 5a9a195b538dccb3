//! The vrf plugin on the real kernel, each test on a throw-away host of its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod add;
mod bad_input;
mod check;
mod del;
mod faults;
mod lab;
mod mixed;
