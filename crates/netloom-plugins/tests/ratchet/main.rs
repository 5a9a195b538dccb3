//! The ratchet plugin on the real kernel, each test on a throw-away host of its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod add;
mod bad_input;
mod chaos;
mod check;
mod del;
mod faults;
mod first;
mod gc;
mod host;
mod lab;
mod tunnel;
mod tutorial;
mod wait;
