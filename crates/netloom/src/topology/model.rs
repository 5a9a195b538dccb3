//! A topology as its file says it, whichever form the file has.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use netloom_links::{Interface, Outside};

use super::yaml::Node;
use crate::links::at::At;

/// What a file says.
#[derive(Debug)]
pub(super) struct Topology {
    pub(super) name: String,
    pub(super) nodes: BTreeMap<String, TopoNode>,
    pub(super) links: Vec<TopoLink>,
    pub(super) hosts: BTreeMap<String, TopoHost>,
    /// What the file says and nobody does, in words.
    pub(super) notes: Vec<String>,
    pub(super) path: PathBuf,
}

/// Something that ends of links are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopoNode {
    pub(super) kind: NodeKind,
    /// Which of the hosts it is on; none where there is one.
    pub(super) host: Option<String>,
    /// Where the file says what it is.
    pub(super) said: Node,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NodeKind {
    /// A namespace that the topology makes, under this name in `/run/netns`.
    Own(String),
    /// Something that is there.
    There(At),
    /// A bridge of the host, whose ports are ends.
    Bridge(String),
}

impl NodeKind {
    pub(super) fn at(&self) -> At {
        match self {
            Self::Own(name) => At::Ns(name.clone()),
            Self::There(at) => at.clone(),
            Self::Bridge(_) => At::Host,
        }
    }
}

/// A machine that nodes are on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopoHost {
    /// Its address on the network between the hosts.
    pub(super) underlay: IpAddr,
    /// The MTU of that network, in bytes; without it each host's own link tells.
    pub(super) mtu: Option<u32>,
}

/// A link, and where the file says it.
#[derive(Debug, Clone)]
pub(super) struct TopoLink {
    pub(super) name: String,
    pub(super) near: TopoEnd,
    pub(super) other: TopoOther,
    pub(super) vni: Option<u32>,
    pub(super) port: Option<u16>,
    pub(super) node: Node,
}

#[derive(Debug, Clone)]
pub(super) struct TopoEnd {
    pub(super) node: String,
    pub(super) interface: Interface,
    /// Where this link has its node, if not where all have it.
    pub(super) host: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) enum TopoOther {
    End(TopoEnd),
    Outside(Outside),
}

impl TopoLink {
    pub(super) fn ends(&self) -> impl Iterator<Item = &TopoEnd> {
        let other = match &self.other {
            TopoOther::End(end) => Some(end),
            TopoOther::Outside(_) => None,
        };
        std::iter::once(&self.near).chain(other)
    }
}
