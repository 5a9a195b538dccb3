//! dhcp, its daemon, and Debian's dnsmasq on a real kernel.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod acquire;
mod announced;
mod daemon;
mod faults;
mod grants;
mod injected;
mod interop;
mod lan;
mod running;
mod server;
mod v6;
