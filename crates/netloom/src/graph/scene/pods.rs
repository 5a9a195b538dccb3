//! The boxes of pods.

use std::fmt::Write as _;

use netloom_observe::map::{Interface, Namespace};
use serde_json::json;

use super::words::{blank, facts, kind, pod_key, shown};
use super::{Builder, HOST};
use crate::graph::model::{Column, Node, Port};

impl Builder<'_> {
    pub(super) fn add_pods(&mut self) {
        for (at, namespace) in self.map.namespaces.iter().enumerate().skip(HOST + 1) {
            let links: Vec<&Interface> = shown(namespace).collect();
            let mut attachments = self.overlay.of(namespace.id).peekable();
            let is_named = namespace.name.starts_with("ns:") || attachments.peek().is_some();
            if links.is_empty() && !is_named {
                continue;
            }
            let container = attachments.peek().map(|pod| pod.container.clone());
            let mut name = self.overlay.node_name(namespace.id).map(str::to_owned);
            let (mut published, mut networks) = (Vec::new(), Vec::new());
            for pod in attachments {
                name = name.or_else(|| pod.name.clone());
                networks.push(json!({"network": pod.network, "interface": pod.interface}));
                published.extend(pod.published.iter().map(|port| format!("host port {port}")));
            }
            let problems = container.as_deref().map(|it| self.overlay.problems_of(it));
            let port = |it: &&Interface| self.port(namespace, it);
            let id = format!("pod/{}", namespace.name);
            let node = Node {
                title: name.unwrap_or_else(|| namespace.name.trim_start_matches("ns:").to_owned()),
                ports: links.iter().map(port).collect(),
                problems: problems.unwrap_or_default(),
                facts: json!({
                    "namespace": namespace.name, "inode": namespace.id.inode,
                    "containerID": container, "networks": networks, "published": published,
                }),
                notes: published,
                ..blank(&id, Column::Pods, "pod")
            };
            self.nodes.insert(pod_key(namespace, at), node);
        }
    }

    fn port(&self, namespace: &Namespace, it: &Interface) -> Port {
        let mut words = it.addresses.join(" ");
        let name_of = |index: u32| {
            let found = namespace.links.iter().find(|it| it.link.index == index);
            found.map(|it| it.link.name.as_str())
        };
        let inside = it.other.filter(|_| it.link.lower_netns.is_none());
        if let Some(lower) = inside.and_then(|other| name_of(other.index)) {
            let _ = write!(words, " {} on {lower}", kind(&it.link));
        } else if !it.link.is_veth() {
            let _ = write!(words, " {}", kind(&it.link));
        }
        if let Some(master) = it.link.master.and_then(name_of) {
            let _ = write!(words, " in {master}");
        }
        let attachment = self.overlay.of(namespace.id);
        let mut attachment = attachment.filter(|pod| pod.interface == it.link.name);
        let mut facts = facts(it);
        if let Some(pod) = attachment.next() {
            facts["network"] = json!(pod.network);
        }
        Port {
            name: it.link.name.clone(),
            words: words.trim().to_owned(),
            facts,
        }
    }
}
