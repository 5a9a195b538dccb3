//! flannel's registry: how a cluster's pod network, and each host's part of it, are written in etcd.
//!
//! | key | value |
//! |---|---|
//! | `<prefix>/config` | [`NetworkConfig`]: the network, how it is cut, how hosts reach each other |
//! | `<prefix>/subnets/10.5.1.0-24` or `…/10.5.1.0-24&fd00:5:0:1::-64` | [`Announcement`] of the host that has these [`Subnets`] |
//!
//! The keys, the names in the values and the defaults are flannel's, so that hosts of both kinds find
//! each other. What is read comes from strangers: every reader here refuses what it does not understand,
//! in words that name the field.

mod allocate;
mod announcement;
mod config;
mod env;
mod subnets;

pub use allocate::choose;
pub use announcement::{Announcement, Vtep};
pub use config::{Backend, Mode, NetworkConfig, Pool};
pub use env::subnet_env;
pub use subnets::Subnets;

/// flannel's prefix where nobody names another.
pub const PREFIX: &str = "/coreos.com/network";
