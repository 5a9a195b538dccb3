//! The portmap plugin behind bridge, on the real kernel.

#![expect(
    clippy::unwrap_used,
    reason = "a test panics when the machine does not do its part"
)]

mod bad_input;
mod check;
mod cost;
mod del;
mod faults;
mod flows;
mod gc;
mod legacy;
mod mixed;
mod parallel;
mod quiet;
mod sctp;
mod security;
mod stack;
mod support;
mod traffic;
