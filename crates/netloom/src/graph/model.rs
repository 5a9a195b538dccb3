//! What a picture shows: boxes in four columns, and lines between them.

use serde_json::{Value, json};

/// Where a box stands, from the outside to the pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Column {
    Outside,
    Links,
    Bridges,
    Pods,
}

impl Column {
    pub(crate) const ALL: [Self; 4] = [Self::Outside, Self::Links, Self::Bridges, Self::Pods];

    fn word(self) -> &'static str {
        match self {
            Self::Outside => "outside",
            Self::Links => "host link",
            Self::Bridges => "bridge",
            Self::Pods => "pod",
        }
    }
}

/// A picture before anything has a place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    /// Sorted by column and name, so that the same host gives the same picture.
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
}

/// A box.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The same for the same thing in the next picture: `host/cni0`, `pod/web`.
    pub(crate) id: String,
    pub(crate) column: Column,
    /// What kind of link it is, or `pod`.
    pub(crate) kind: String,
    pub(crate) title: String,
    /// Lines under the title.
    pub(crate) notes: Vec<String>,
    /// The interfaces of a pod.
    pub(crate) ports: Vec<Port>,
    /// What is wrong with it.
    pub(crate) problems: Vec<String>,
    /// All that is known, for tooltips and JSON.
    pub(crate) facts: Value,
}

/// An interface in a pod.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    pub(crate) name: String,
    /// Addresses, and what else is to be said in a few words.
    pub(crate) words: String,
    pub(crate) facts: Value,
}

/// An end of a line: a box, or an interface in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct End {
    pub(crate) node: usize,
    pub(crate) port: Option<usize>,
}

/// How two boxes are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EdgeKind {
    /// A cable, or a port of a bridge: frames pass.
    Wire,
    /// One link stands on the other: macvlan, ipvlan, vlan, a tunnel's carrier.
    Stacked,
    /// The host forwards packets.
    Routed,
}

impl EdgeKind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Wire => "wire",
            Self::Stacked => "stacked",
            Self::Routed => "routed",
        }
    }
}

/// A line.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub(crate) ends: [End; 2],
    pub(crate) kind: EdgeKind,
    /// What it is: `veth1a2b3c4d`, `masquerade`.
    pub(crate) what: String,
    /// Why nothing passes.
    pub(crate) dead: Option<String>,
}

impl Graph {
    /// The lines that have an end in a box.
    pub(crate) fn edges_of(&self, node: usize) -> impl Iterator<Item = &Edge> {
        let is_end = move |edge: &&Edge| edge.ends.iter().any(|end| end.node == node);
        self.edges.iter().filter(is_end)
    }

    /// The document of `--json`.
    pub(crate) fn document(&self) -> Value {
        let node = |it: &Node| {
            let ports = it.ports.iter().map(|port| port.facts.clone());
            json!({
                "id": it.id, "column": it.column.word(), "kind": it.kind, "name": it.title,
                "notes": it.notes, "interfaces": ports.collect::<Vec<_>>(),
                "problems": it.problems, "facts": it.facts,
            })
        };
        let end = |end: End| {
            let node = &self.nodes[end.node];
            let port = end.port.map(|port| node.ports[port].name.as_str());
            json!({"node": node.id, "interface": port})
        };
        let edge = |it: &Edge| {
            json!({
                "ends": it.ends.map(end), "kind": it.kind.word(), "what": it.what, "dead": it.dead,
            })
        };
        json!({
            "nodes": self.nodes.iter().map(node).collect::<Vec<_>>(),
            "edges": self.edges.iter().map(edge).collect::<Vec<_>>(),
        })
    }
}
