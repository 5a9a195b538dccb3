//! What the nodes of a cluster share, without I/O and without a clock.
//!
//! A *space* is a set of addresses in which each may be given once. A *block* is a fixed, aligned part
//! of a space with one record in the store. A *grant* is an aligned part of a block that one node may
//! give to its pods.
//!
//! - [`record`] and [`key`]: what is in the store. Everything read from there is a stranger's.
//! - [`disk`]: what a node keeps in `/var/lib/cni/netloom-cluster`.
//! - [`message`]: what a plugin and the node daemon say to each other.
//! - [`grants`]: the state machine that claims grants and gives them back. Events, time and replies
//!   come in; store operations, disk effects and answers go out.
//! - [`flannel`]: the registry of pod networks, as flannel writes it.
//! - [`peers`]: whom of it to believe, and what the kernel must change for it.
//! - [`links`]: which pods of other hosts the plugin ratchet is told of.

#![forbid(unsafe_code)]

pub mod disk;
pub mod flannel;
pub mod grants;
pub mod grid;
pub mod key;
pub mod links;
mod malformed;
pub mod message;
mod names;
pub mod peers;
pub mod record;
pub mod removal;

pub use malformed::Malformed;
pub use names::{ClusterId, NodeName, SpaceName};
