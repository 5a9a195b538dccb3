//! Plugins that make an interface.

pub mod loopback;
