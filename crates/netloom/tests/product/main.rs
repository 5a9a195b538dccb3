//! What must hold of the command as it is delivered, however it was linked: no failure, no descriptor
//! that is closed and no disk that is full ends it by a signal; what its plugins do wrong is undone.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod descriptors;
mod failures;
mod misbehaving;

const NETLOOM: &str = env!("CARGO_BIN_EXE_netloom");
