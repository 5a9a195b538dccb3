//! From what is there to what is shown.

mod pods;
mod wires;
mod words;

use std::collections::{BTreeMap, HashMap};

use netloom_observe::map::{Interface, Map, Namespace, Other};
use serde_json::json;

use super::model::{Column, Edge, EdgeKind, End, Graph, Node};
use super::overlay::Overlay;
use words::{blank, facts, host_key, kind, outside_key, remote};

/// The host's own namespace is the first of the map.
const HOST: usize = 0;

/// What leads to the outside, and to pods that have a link of the host's each.
const OUTSIDE: &str = "outside";
const ROUTES: &str = "host/routes";

/// So many links of the host of one kind, to which nothing leads, are told by their number.
const MANY: usize = 12;

/// The boxes and lines of a map. The first namespace is the host's.
pub(crate) fn scene(map: &Map, overlay: &Overlay) -> Graph {
    let mut builder = Builder {
        map,
        overlay,
        nodes: BTreeMap::new(),
        edges: Vec::new(),
    };
    builder.add_host();
    builder.add_pods();
    builder.join_pods();
    builder.join_host();
    builder.add_missing();
    if builder.nodes.is_empty() {
        let node = Node {
            title: "host".to_owned(),
            notes: vec!["nothing but lo".to_owned()],
            ..blank("host", Column::Links, "host")
        };
        let key = (Column::Links, 0, node.id.clone());
        builder.nodes.insert(key, node);
    }
    builder.finish()
}

/// The key gives the order: column, rank within it, id.
type Key = (Column, u8, String);

/// An end, before the boxes have their order.
type Loose = (Key, Option<usize>);

struct Builder<'m> {
    map: &'m Map,
    overlay: &'m Overlay,
    nodes: BTreeMap<Key, Node>,
    edges: Vec<(Loose, Loose, EdgeKind, String, Option<String>)>,
}

impl Builder<'_> {
    fn host(&self) -> &Namespace {
        &self.map.namespaces[HOST]
    }

    /// The links of the host that have a box: all but `lo` and the ends of pods' cables.
    fn add_host(&mut self) {
        let Some(host) = self.map.namespaces.first() else {
            return;
        };
        let mut idle: HashMap<String, Vec<&Interface>> = HashMap::new();
        let mut shown = Vec::new();
        for it in &host.links {
            if it.link.flags.is_loopback() || self.is_cable(it) {
                continue;
            }
            match self.is_idle(it) {
                true => idle.entry(kind(&it.link)).or_default().push(it),
                false => shown.push(it),
            }
        }
        for (kind, links) in idle {
            match links.len() > MANY {
                true => self.add_many(&kind, &links),
                false => shown.extend(links),
            }
        }
        for it in shown {
            let key = host_key(&it.link);
            let node = self.host_node(&key, it);
            self.nodes.insert(key, node);
        }
        self.add_outside();
    }

    /// Whether it is the host's end of a cable to a pod: to another namespace that is shown, and not
    /// the host's way out or what other links stand on.
    fn is_cable(&self, it: &Interface) -> bool {
        let to_another = |other: Other| other.namespace.is_some_and(|at| at != HOST);
        let is_way_out = || {
            self.host()
                .defaults
                .iter()
                .any(|to| to.link == it.link.index)
        };
        it.link.is_veth()
            && it.other.is_some_and(to_another)
            && !is_way_out()
            && !self.is_carrier(it.link.index)
    }

    /// Whether other links stand on a link of the host.
    fn is_carrier(&self, index: u32) -> bool {
        let stands_on_it = |link: &Interface| {
            let on_it = Other {
                namespace: Some(HOST),
                index,
            };
            !link.link.is_veth() && link.other == Some(on_it)
        };
        let mut all = self.map.namespaces.iter();
        all.any(|namespace| namespace.links.iter().any(stands_on_it))
    }

    /// Whether nothing leads to it: no pod, no link, no route, no address.
    fn is_idle(&self, it: &Interface) -> bool {
        let index = it.link.index;
        let is_master = self
            .host()
            .links
            .iter()
            .any(|link| link.link.master == Some(index));
        it.link.master.is_none()
            && it.other.is_none()
            && it.addresses.is_empty()
            && it.link.kind.is_some()
            && !is_master
            && !self.host().defaults.iter().any(|route| route.link == index)
            && !self.is_carrier(index)
    }

    fn add_many(&mut self, kind: &str, links: &[&Interface]) {
        let names: Vec<&str> = links.iter().map(|it| it.link.name.as_str()).collect();
        let id = format!("host/{kind}");
        let node = Node {
            title: format!("{} links", links.len()),
            facts: json!({"kind": kind, "links": names}),
            ..blank(&id, Column::Links, kind)
        };
        self.nodes.insert((Column::Links, 2, id), node);
    }

    fn host_node(&self, key: &Key, it: &Interface) -> Node {
        let name = &it.link.name;
        let mut notes = it.addresses.clone();
        let mut networks = Vec::new();
        for network in self.overlay.on_bridge(name) {
            let masquerade = if network.masquerades {
                ", masquerade"
            } else {
                ""
            };
            notes.push(format!("network {}{masquerade}", network.name));
            networks.push(network.name.as_str());
        }
        if it.link.is_veth() && it.other.is_none_or(|other| other.namespace.is_none()) {
            notes.push("peer: a namespace that is not seen".to_owned());
        }
        let mut facts = facts(it);
        if !networks.is_empty() {
            facts["networks"] = json!(networks);
        }
        let mut problems = self.overlay.problems_of(name);
        problems.extend((!it.link.flags.is_up()).then(|| format!("{name} is down")));
        Node {
            title: name.clone(),
            notes,
            problems,
            facts,
            ..blank(&key.2, key.0, &kind(&it.link))
        }
    }

    /// What is behind the default routes and the tunnels.
    fn add_outside(&mut self) {
        let host = &self.map.namespaces[HOST];
        let mut gateways: Vec<String> = host
            .defaults
            .iter()
            .map(|route| match route.gateway {
                Some(gateway) => format!("via {gateway}"),
                None => "by the link itself".to_owned(),
            })
            .collect();
        gateways.dedup();
        if !gateways.is_empty() {
            let node = Node {
                title: OUTSIDE.to_owned(),
                facts: json!({"defaultRoutes": gateways}),
                notes: gateways,
                ..blank(OUTSIDE, Column::Outside, OUTSIDE)
            };
            self.nodes.insert(outside_key(), node);
        }
        let remotes: Vec<_> = host
            .links
            .iter()
            .filter_map(|it| remote(&it.link))
            .collect();
        for (id, title) in remotes {
            let node = Node {
                title,
                ..blank(&id, Column::Outside, "host")
            };
            self.nodes.insert((Column::Outside, 1, id), node);
        }
    }

    fn join(&mut self, a: Loose, b: Loose, kind: EdgeKind, what: String, dead: Option<String>) {
        self.edges.push((a, b, kind, what, dead));
    }

    fn finish(self) -> Graph {
        let order: BTreeMap<&Key, usize> = self.nodes.keys().zip(0..).collect();
        let edge = |(a, b, kind, what, dead): &(Loose, Loose, EdgeKind, String, Option<String>)| {
            let end = |loose: &Loose| {
                let (node, port) = (*order.get(&loose.0)?, loose.1);
                Some(End { node, port })
            };
            Some(Edge {
                ends: [end(a)?, end(b)?],
                kind: *kind,
                what: what.clone(),
                dead: dead.clone(),
            })
        };
        let mut edges: Vec<Edge> = self.edges.iter().filter_map(edge).collect();
        edges.sort_by(|a, b| (a.ends, &a.what).cmp(&(b.ends, &b.what)));
        Graph {
            nodes: self.nodes.into_values().collect(),
            edges,
        }
    }
}
