//! The host-device plugin on the real kernel, each test on a throw-away host of its own. One end
//! of a veth plays the device; the other end is in a pod that plays the network outside.

#![expect(
    clippy::unwrap_used,
    reason = "a test panics when the machine does not do its part"
)]

mod add;
mod alias;
mod bad_input;
mod check;
mod del;
mod died;
mod docs;
mod faults;
mod gc;
mod mixed;
mod status;
mod support;
