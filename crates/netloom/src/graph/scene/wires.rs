//! The lines, and the boxes that only lines lead to.

use netloom_observe::map::Interface;

use super::words::{
    blank, host_key, kind, outside_key, pod_key, remote, shown, why_dead, wire_or_stacked,
};
use super::{Builder, HOST, Key, Loose, ROUTES};
use crate::graph::model::{Column, EdgeKind, Node};
use crate::topology::wanted::NamedEnd;

impl Builder<'_> {
    /// The lines that end in pods.
    pub(super) fn join_pods(&mut self) {
        for (at, namespace) in self.map.namespaces.iter().enumerate().skip(HOST + 1) {
            let key = pod_key(namespace, at);
            for (port, it) in shown(namespace).enumerate() {
                let Some(other) = it.other else { continue };
                let near = (key.clone(), Some(port));
                match other.namespace {
                    Some(HOST) => self.join_with_host(near, it, other.index),
                    // Each cable once, and no link with what it stands on in its own box.
                    Some(there) if there > at => {
                        let peer = &self.map.namespaces[there];
                        let found = shown(peer).position(|link| link.link.index == other.index);
                        if let Some(port) = found {
                            let far = (pod_key(peer, there), Some(port));
                            let end = shown(peer).nth(port);
                            let dead = end.and_then(|end| why_dead(&[it, end]));
                            self.join(near, far, wire_or_stacked(&it.link), String::new(), dead);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// The line of a pod's link that has its other end, or what it stands on, in the host.
    fn join_with_host(&mut self, near: Loose, it: &Interface, index: u32) {
        let Some(end) = self.map.interface(HOST, index) else {
            return;
        };
        if !it.link.is_veth() {
            let far = (host_key(&end.link), None);
            return self.join(
                far,
                near,
                EdgeKind::Stacked,
                kind(&it.link),
                why_dead(&[it, end]),
            );
        }
        let mut dead = why_dead(&[it, end]);
        dead = dead.or(self.overlay.problems_of(&end.link.name).into_iter().next());
        let what = end.link.name.clone();
        if !self.is_cable(end) {
            return self.join(
                (host_key(&end.link), None),
                near,
                EdgeKind::Wire,
                what,
                dead,
            );
        }
        let far = match end
            .link
            .master
            .and_then(|master| self.map.interface(HOST, master))
        {
            Some(master) => host_key(&master.link),
            None => self.routes(),
        };
        self.join((far, None), near, EdgeKind::Wire, what, dead);
    }

    /// The box of the host's own routes to pods.
    fn routes(&mut self) -> Key {
        let key = (Column::Bridges, 2, ROUTES.to_owned());
        self.nodes.entry(key.clone()).or_insert_with(|| Node {
            title: "host".to_owned(),
            notes: vec!["a route to each pod".to_owned()],
            ..blank(ROUTES, Column::Bridges, "routes")
        });
        key
    }

    /// The lines between boxes of the host and the outside.
    pub(super) fn join_host(&mut self) {
        let Some(host) = self.map.namespaces.first() else {
            return;
        };
        let carried = |it: &&Interface| !it.link.flags.is_loopback() && !self.is_cable(it);
        let links: Vec<&Interface> = host.links.iter().filter(carried).collect();
        for it in &links {
            let near = (host_key(&it.link), None);
            let dead = || why_dead(&[it]);
            if let Some(master) = it.link.master.and_then(|at| self.map.interface(HOST, at)) {
                let far = (host_key(&master.link), None);
                self.join(near.clone(), far, EdgeKind::Wire, "port".to_owned(), dead());
            }
            if let Some(other) = it.other.filter(|other| other.namespace == Some(HOST))
                && (!it.link.is_veth() || other.index > it.link.index)
                && let Some(lower) = self.map.interface(HOST, other.index)
            {
                let far = (host_key(&lower.link), None);
                let kind_of_edge = wire_or_stacked(&it.link);
                self.join(far, near.clone(), kind_of_edge, kind(&it.link), dead());
            }
            if let Some((id, _)) = remote(&it.link) {
                let far = ((Column::Outside, 1, id), None);
                self.join(far, near.clone(), EdgeKind::Stacked, kind(&it.link), dead());
            }
            if host
                .defaults
                .iter()
                .any(|route| route.link == it.link.index)
            {
                let what = "default route".to_owned();
                self.join((outside_key(), None), near, EdgeKind::Routed, what, dead());
            }
        }
        self.route_out(&links);
    }

    /// The host forwards between what has the default route and what pods are on.
    fn route_out(&mut self, links: &[&Interface]) {
        let defaults = &self.host().defaults;
        let has_default = |it: &&&Interface| defaults.iter().any(|to| to.link == it.link.index);
        let ways: Vec<Key> = links
            .iter()
            .filter(has_default)
            .map(|it| host_key(&it.link))
            .collect();
        let mut gateways: Vec<(Key, String)> = Vec::new();
        for it in links
            .iter()
            .filter(|it| it.link.is_bridge() && !it.addresses.is_empty())
        {
            let mut networks = self.overlay.on_bridge(&it.link.name);
            let what = match networks.any(|network| network.masquerades) {
                true => "masquerade",
                false => "forwarding",
            };
            gateways.push((host_key(&it.link), what.to_owned()));
        }
        let routes = (Column::Bridges, 2, ROUTES.to_owned());
        if self.nodes.contains_key(&routes) {
            gateways.push((routes, "forwarding".to_owned()));
        }
        for way in &ways {
            for (gateway, what) in &gateways {
                if way != gateway {
                    let ends = [way, gateway].map(|key| (key.clone(), None));
                    let [from, to] = ends;
                    self.join(from, to, EdgeKind::Routed, what.clone(), None);
                }
            }
        }
    }

    /// The links of a topology of which an end is not there.
    pub(super) fn add_missing(&mut self) {
        for wanted in &self.overlay.wanted {
            let keys: Vec<(Key, bool)> = wanted.ends.iter().map(|end| self.find_end(end)).collect();
            for ((key, _), end) in keys.iter().zip(&wanted.ends) {
                if !self.nodes.contains_key(key) {
                    let mut node = blank(&key.2, key.0, "missing");
                    node.title.clone_from(&end.node);
                    node.problems.push("it is not there".to_owned());
                    self.nodes.insert(key.clone(), node);
                }
            }
            if let [(a, a_is_there), (b, b_is_there)] = &keys[..]
                && !(*a_is_there && *b_is_there)
            {
                let why = format!("link {} is not there", wanted.link);
                let (a, b) = ((a.clone(), None), (b.clone(), None));
                self.join(a, b, EdgeKind::Wire, wanted.link.clone(), Some(why));
            }
        }
    }

    /// The box that an end of a topology's link is in, and whether its interface is there.
    fn find_end(&self, end: &NamedEnd) -> (Key, bool) {
        let mut namespaces = self.map.namespaces.iter().enumerate();
        let found = namespaces.find(|(_, it)| Some(it.id) == end.namespace);
        let Some((at, namespace)) = found else {
            return ((Column::Pods, 1, format!("missing/{}", end.node)), false);
        };
        let mut links = namespace.links.iter();
        let interface = links.find(|it| it.link.name == end.interface);
        let key = match (at, &end.bridge, interface) {
            (HOST, Some(bridge), _) => (Column::Bridges, 0, format!("host/{bridge}")),
            (HOST, None, Some(interface)) => host_key(&interface.link),
            (HOST, None, None) => (Column::Links, 1, format!("missing/{}", end.interface)),
            _ => pod_key(namespace, at),
        };
        (key, interface.is_some())
    }
}
