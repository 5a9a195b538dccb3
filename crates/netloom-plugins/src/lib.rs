//! Every CNI plugin of netloom, and the one program that is all of them.
//!
//! A plugin is a file or a folder in [`interface`], [`ipam`] or [`chained`] and an entry in
//! [`registry::PLUGINS`]. Plugins never import each other.

pub mod chained;
pub mod doctor;
pub mod interface;
pub mod ipam;
pub mod registry;
mod wiring;

pub use wiring::identity;
