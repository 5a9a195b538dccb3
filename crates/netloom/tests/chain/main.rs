//! The chain of real nodes, bridge, portmap, firewall, bandwidth and tuning, through the runtime.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod faults;
mod gc;
mod network;
mod quiet;
