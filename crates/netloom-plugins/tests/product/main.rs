//! What must hold of the plugins as they are delivered, however they were linked: a panic becomes an
//! error and is undone, and nothing that may become of descriptors 0, 1 and 2 ends in a signal.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod backtrace;
mod descriptors;
mod faults;

const PROGRAM: &str = env!("CARGO_BIN_EXE_netloom-plugins");
