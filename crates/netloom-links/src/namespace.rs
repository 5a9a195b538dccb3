//! Namespaces that a topology makes for its nodes, and knows again by the mark of their `lo`.

use std::path::Path;

use netloom_kernel::netns::{self, Netns, OpenError};
use netloom_kernel::rtnl::{LinkChange, Socket};

use crate::identity::mark_prefix;
use crate::{LinkId, Place, Result, Side};

/// The index of `lo`.
const LOOPBACK: u32 = 1;

/// Makes a namespace for a node of a topology at a path, with `lo` up. What is left of one that was
/// killed half-way goes first.
///
/// # Errors
/// If a namespace is at the path already, or the kernel refuses.
pub fn create_namespace(path: &Path, topology: &str, node: &str) -> Result<()> {
    if matches!(Netns::open(path), Err(OpenError::NotANetns { .. })) {
        netns::remove_at(path)?;
    }
    // As if it were the end of a link that nothing is called.
    let mark = LinkId::new(topology, format!("\0{node}")).mark(Side::A);
    netns::create_at_with(path, || {
        let socket = Socket::open()?;
        let mut batch = socket.batch();
        batch.add_alternative_name(LOOPBACK, &mark);
        batch.set_link(LOOPBACK, &LinkChange::new().up());
        batch.commit().map(drop)
    })?;
    Ok(())
}

/// Whether a namespace was made for a node of this topology.
///
/// # Errors
/// If the kernel refuses.
pub fn is_namespace_of(place: &Place, topology: &str) -> Result<bool> {
    let prefix = mark_prefix(topology);
    let lo = place.socket().get_link(LOOPBACK)?;
    Ok(lo
        .alternative_names
        .iter()
        .any(|name| name.starts_with(&prefix)))
}
