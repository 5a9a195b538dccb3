//! The firewall plugin on the real packet filters, each test on a throw-away host of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test panics when the machine does not do its part"
)]

mod add;
mod check;
mod del;
mod faults;
mod firewalld;
mod gc;
mod mixed;
mod policy;
mod published;
mod quiet;
mod support;
mod traffic;
