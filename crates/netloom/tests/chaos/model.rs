//! What should be: which pods there are, and which attachments live.

use std::collections::BTreeMap;

use netloom_testkit::Pod;
use serde_json::Value;

use crate::network::{NETWORKS, Network};

/// An attachment whose ADD succeeded.
#[derive(Clone, Debug)]
pub(crate) struct Living {
    pub(crate) result: Value,
    /// Whether nothing happened to it that may change how it is: no fault in its ADD, no damage to
    /// its files.
    pub(crate) is_sound: bool,
}

impl Living {
    /// Its addresses without the lengths of their prefixes.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let ips = self.result["ips"].as_array();
        let address = |ip: &Value| {
            let address = ip["address"].as_str().unwrap();
            address.split('/').next().unwrap().to_owned()
        };
        ips.into_iter().flatten().map(address).collect()
    }

    /// Its links on the host, but for a bridge.
    pub(crate) fn host_links(&self) -> Vec<String> {
        let links = self.result["interfaces"].as_array();
        links
            .into_iter()
            .flatten()
            .filter(|link| link["sandbox"].as_str().unwrap_or_default().is_empty())
            .map(|link| link["name"].as_str().unwrap().to_owned())
            .filter(|name| name.starts_with("veth"))
            .collect()
    }
}

/// How a pod stands to its network.
pub(crate) enum State {
    Absent,
    Clean,
    Living(Living),
    /// ADD or DEL failed or died.
    Dirty,
}

/// A place for one pod after the other, all at one path.
pub(crate) struct Slot {
    pub(crate) number: usize,
    pub(crate) network: &'static Network,
    generation: usize,
    pub(crate) pod: Option<Pod>,
    pub(crate) state: State,
    /// Whether GC took it for dead while an ADD of it had failed: what it has in the pod goes with
    /// the pod.
    pub(crate) is_collected: bool,
}

impl Slot {
    pub(crate) fn new(number: usize) -> Self {
        Self {
            number,
            network: &NETWORKS[number % NETWORKS.len()],
            generation: 0,
            pod: None,
            state: State::Absent,
            is_collected: false,
        }
    }

    /// No id is the beginning of another.
    pub(crate) fn id(&self) -> String {
        format!("chaos{}g{}z", self.number, self.generation)
    }

    pub(crate) fn pod_name(&self) -> String {
        format!("p{}", self.number)
    }

    pub(crate) fn netns(&self) -> String {
        format!("/run/netns/{}", self.pod_name())
    }

    pub(crate) fn living(&self) -> Option<&Living> {
        match &self.state {
            State::Living(living) => Some(living),
            _ => None,
        }
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.living().is_some_and(|living| living.is_sound)
    }

    pub(crate) fn harm(&mut self) {
        if let State::Living(living) = &mut self.state {
            living.is_sound = false;
        }
    }

    /// Takes the pod and its namespace away. What is left is a grave, if anything is.
    pub(crate) fn vanish(&mut self) -> Option<Grave> {
        let grave = Grave {
            slot: self.number,
            id: self.id(),
            was_sound: self.is_sound(),
        };
        let left = matches!(self.state, State::Living(_) | State::Dirty);
        drop(self.pod.take());
        self.state = State::Absent;
        self.is_collected = false;
        self.generation += 1;
        left.then_some(grave)
    }
}

/// An attachment whose pod went away without DEL.
#[derive(Clone)]
pub(crate) struct Grave {
    pub(crate) slot: usize,
    pub(crate) id: String,
    pub(crate) was_sound: bool,
}

/// The ids of containers in a text.
pub(crate) fn ids_in(text: &str) -> Vec<String> {
    let parts = text.split("chaos").skip(1);
    parts
        .filter_map(|part| part.split_once('z'))
        .map(|(numbers, _)| format!("chaos{numbers}z"))
        .filter(|id| id.len() < 20)
        .collect()
}

/// How often what happened.
#[derive(Default)]
pub(crate) struct Tally(BTreeMap<String, usize>);

impl Tally {
    pub(crate) fn count(&mut self, what: &str) {
        *self.0.entry(what.to_owned()).or_default() += 1;
    }

    pub(crate) fn of(&self, what: &str) -> usize {
        self.0.get(what).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words: Vec<_> = self
            .0
            .iter()
            .map(|(what, n)| format!("{n} {what}"))
            .collect();
        f.write_str(&words.join(", "))
    }
}
