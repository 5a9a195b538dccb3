//! host-local as a runtime sees it. It makes files only, so every test has a directory of its own
//! and needs no namespaces, but for those about whose namespace a reservation is for.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
mod cost;
mod faults;
mod healing;
mod mixed;
mod pool;
mod reboot;
mod sandbox;
