//! Bridge and host-local together, and every plugin of the registry alike, as a runtime or a
//! person at the shell meets them.

#![expect(
    clippy::unwrap_used,
    reason = "a test panics when the machine does not do its part"
)]

mod endless;
mod fault;
mod identity;
mod ipv6;
mod limits;
mod link_kinds;
mod networks;
mod planted;
mod registry;
mod small_subnets;
mod tutorial;
mod wrong_chain;
mod wrong_target;

/// The binary under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_netloom-plugins");
