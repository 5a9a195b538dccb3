//! What a file wants, for a picture of what is there.

use std::path::Path;

use anyhow::Result;
use netloom_kernel::netns::NetnsId;
use netloom_runtime::Cni;

use super::file;
use super::model::{NodeKind, TopoEnd, Topology};
use crate::links::at::At;

/// A link that a file wants.
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) ends: Vec<WantedEnd>,
}

/// One of its ends.
pub(crate) struct WantedEnd {
    pub(crate) node: String,
    pub(crate) at: At,
    pub(crate) interface: String,
    /// The bridge that it is a port of.
    pub(crate) bridge: Option<String>,
}

/// The same with the namespaces that are there.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) link: String,
    pub(crate) ends: Vec<NamedEnd>,
}

/// An end, as a picture looks for it.
#[derive(Clone, Debug)]
pub(crate) struct NamedEnd {
    pub(crate) node: String,
    /// `None` for one that is not there.
    pub(crate) namespace: Option<NetnsId>,
    pub(crate) interface: String,
    pub(crate) bridge: Option<String>,
}

/// The links of a file.
///
/// # Errors
/// If it cannot be read, or is no topology.
pub(crate) fn read(path: &Path) -> Result<Vec<Wanted>> {
    let topology = file::read(path)?;
    let end = |end: &TopoEnd| self::end(&topology, end);
    let links = topology.links.iter().map(|link| Wanted {
        name: link.name.clone(),
        ends: link.ends().filter_map(end).collect(),
    });
    Ok(links.collect())
}

fn end(topology: &Topology, end: &TopoEnd) -> Option<WantedEnd> {
    let kind = &topology.nodes.get(&end.node)?.kind;
    let bridge = match kind {
        NodeKind::Bridge(bridge) => Some(bridge.clone()),
        _ => None,
    };
    Some(WantedEnd {
        node: end.node.clone(),
        at: kind.at(),
        interface: end.interface.name.clone(),
        bridge,
    })
}

/// Looks which of the namespaces are there.
pub(crate) fn names(cni: &Cni, links: &[Wanted]) -> Vec<Named> {
    let end = |end: &WantedEnd| NamedEnd {
        node: end.node.clone(),
        namespace: end.at.open(cni).ok().map(|place| place.id()),
        interface: end.interface.clone(),
        bridge: end.bridge.clone(),
    };
    let named = links.iter().map(|link| Named {
        link: link.name.clone(),
        ends: link.ends.iter().map(end).collect(),
    });
    named.collect()
}
