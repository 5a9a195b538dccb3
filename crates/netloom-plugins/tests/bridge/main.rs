//! The bridge plugin on the real kernel, each test on a throw-away host of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test panics when the machine does not do its part"
)]

mod check;
mod cost;
mod del;
mod gc;
mod ipam;
mod layer2;
mod layer3;
mod masquerade;
mod mixed;
mod quiet;
mod results;
mod spoof;
mod support;
mod undo;
mod vlan;
