//! What the kernel does not tell: the names of pods and networks, and what is wrong with them.

use netloom_kernel::netns::NetnsId;

use crate::topology::wanted::Named;

/// Names for what is there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overlay {
    pub(crate) networks: Vec<Network>,
    /// Attachments, in the order of their names.
    pub(crate) pods: Vec<Pod>,
    /// The links of a topology file.
    pub(crate) wanted: Vec<Named>,
    pub(crate) problems: Vec<Problem>,
}

/// Something that is wrong.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    /// The name of the link of the host, or the id of the container, that has it.
    pub(crate) about: String,
    pub(crate) words: String,
}

/// A configured network.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) name: String,
    /// The bridge that its pods are ports of.
    pub(crate) bridge: Option<String>,
    /// Its pods' addresses become the host's on their way out.
    pub(crate) masquerades: bool,
}

/// An attachment of a container whose namespace is there.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) namespace: NetnsId,
    /// How people call it; `None` where its namespace's name says more.
    pub(crate) name: Option<String>,
    pub(crate) container: String,
    pub(crate) interface: String,
    pub(crate) network: String,
    /// As `8080/tcp → 80`.
    pub(crate) published: Vec<String>,
}

impl Overlay {
    /// The attachments of one namespace.
    pub(crate) fn of(&self, namespace: NetnsId) -> impl Iterator<Item = &Pod> {
        let is_of = move |pod: &&Pod| pod.namespace == namespace;
        self.pods.iter().filter(is_of)
    }

    /// What a topology calls a namespace.
    pub(crate) fn node_name(&self, namespace: NetnsId) -> Option<&str> {
        let mut ends = self.wanted.iter().flat_map(|link| &link.ends);
        let end = ends.find(|end| end.namespace == Some(namespace) && end.bridge.is_none())?;
        Some(&end.node)
    }

    /// The networks whose pods are ports of a bridge.
    pub(crate) fn on_bridge<'o>(&'o self, bridge: &'o str) -> impl Iterator<Item = &'o Network> {
        let has_it = move |network: &&Network| network.bridge.as_deref() == Some(bridge);
        self.networks.iter().filter(has_it)
    }

    /// What is wrong with the thing of this name.
    pub(crate) fn problems_of(&self, name: &str) -> Vec<String> {
        let of_name = self.problems.iter().filter(|problem| problem.about == name);
        of_name.map(|problem| problem.words.clone()).collect()
    }
}
