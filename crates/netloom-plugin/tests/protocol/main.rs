//! The protocol between a runtime and a plugin, as this framework speaks it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod call;
mod delegate;
mod environment;
mod failure;
mod guard;
mod versions;
