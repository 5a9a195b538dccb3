//! What is checked after each step.

use crate::store::Change;
use crate::world::{World, space};
use netloom_cluster::record::{BlockRecord, PinState};
use netloom_cluster::{NodeName, key};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

impl World {
    /// Exactly once: nobody else has it, and the store says that it is this node's.
    pub(crate) fn check_reserved(&self, node: usize, address: IpAddr) {
        if self.nodes[node].is_fenced {
            return;
        }
        if let Some((other, pod)) = self.living.get(&address) {
            let is_fenced = self.nodes[*other].is_fenced;
            assert!(
                is_fenced,
                "{address} is given to n{node}, and n{other}'s pod {pod} has it"
            );
        }
        if !self.is_wiped {
            let block = netloom_cluster::grid::Block::of(address);
            let record = self
                .store
                .record(&key::block(&space(), block))
                .unwrap_or_default();
            let bit = 1_u64 << block.place(address).unwrap();
            let holder = record.entries().iter().find(|it| it.span.mask() & bit != 0);
            let is_own = holder.is_some_and(|it| it.node == self.nodes[node].name);
            assert!(
                is_own,
                "{address} is given to n{node}, and in the store it is {holder:?}"
            );
        }
    }

    /// Who is told that there is an address may take one: the grants were compared since the boot.
    pub(crate) fn check_verified(&self, node: usize) {
        let node = &self.nodes[node];
        let file = node.disk.file().unwrap_or_default();
        let boot = node.boot_id();
        assert!(
            file.is_verified_in(&boot),
            "{} says that there is an address, and in {boot} it has compared nothing: {file:?}",
            node.name
        );
    }

    /// After a boot nothing may be given before every grant was compared with the store.
    pub(crate) fn check_compared(&self, node: usize) {
        let node = &self.nodes[node];
        let file = node.disk.file().unwrap_or_default();
        if !file.is_verified_in(&node.boot_id()) {
            return;
        }
        for grant in &file.grants {
            let key = key::block(&space(), grant.block);
            assert!(
                !node.uncompared.contains(&key),
                "{} may give of {grant:?}, and since its boot it has not read {key}",
                node.name
            );
        }
    }

    /// What is on a disk is in the record.
    pub(crate) fn check_grants(&self, node: usize) {
        let (name, is_fenced) = (&self.nodes[node].name, self.nodes[node].is_fenced);
        if self.is_wiped || is_fenced {
            return;
        }
        // A damaged file says nothing.
        let Some(file) = self.nodes[node].disk.file() else {
            return;
        };
        for grant in &file.grants {
            let record = self
                .store
                .record(&key::block(&space(), grant.block))
                .unwrap_or_default();
            let is_there = record.entries().iter().any(|it| {
                it.node == *name
                    // A pod's new container is given what its old one had.
                    && (it.epoch == grant.epoch || it.pin.is_some() && grant.pin.is_some())
                    && it.span.mask() & grant.span.mask() == grant.span.mask()
            });
            // A kept address may have gone to another node with its pod.
            let is_kept = grant
                .pin
                .as_ref()
                .is_some_and(|it| it.state == PinState::Kept);
            assert!(
                is_there || is_kept,
                "n{node} holds {grant:?}, and the record is {record:?}"
            );
        }
    }

    /// A node changes nothing of others, and nothing leaves a record before it left the disk.
    pub(crate) fn check_change(&mut self, node: usize, change: &Change) {
        let name = self.nodes[node].name.clone();
        let of_others = |record: &Option<BlockRecord>| -> Vec<_> {
            let entries = record.iter().flat_map(|it| it.entries().to_vec());
            entries
                .filter(|it| it.node != name && it.pin.is_none())
                .collect()
        };
        let (before, after) = (of_others(&change.before), of_others(&change.after));
        let grants =
            |record: &Option<BlockRecord>| record.as_ref().map_or(0, |it| it.entries().len());
        self.claims += u64::from(grants(&change.after) > grants(&change.before));
        self.removed += u64::from(change.after.is_none());
        let held = |record: &Option<BlockRecord>| -> u64 {
            let entries = record.iter().flat_map(|it| it.entries());
            let own = entries.filter(|it| it.node == name);
            own.map(|it| u64::from(it.span.len())).sum()
        };
        self.gone_back += held(&change.before).saturating_sub(held(&change.after));
        if self.is_wiped {
            return;
        }
        assert_eq!(
            before, after,
            "n{node} changed what is others' in {}",
            change.key
        );
        let entries = change.before.iter().flat_map(|it| it.entries());
        let holders: BTreeSet<&NodeName> = entries.map(|it| &it.node).collect();
        for holder in holders {
            let number = holder.as_str()[1..]
                .parse()
                .expect("a node of the simulation");
            self.check_grants(number);
        }
    }

    /// After everything has come to rest: the store and the disks say the same, and nothing is left over.
    pub(crate) fn check_rest(&self) {
        let mut held: BTreeMap<(String, u8, u8), NodeName> = BTreeMap::new();
        for node in &self.nodes {
            for grant in node.disk.file().unwrap_or_default().grants {
                // One that went on with its pod is noticed at the next comparison.
                let is_kept = grant
                    .pin
                    .as_ref()
                    .is_some_and(|it| it.state == PinState::Kept);
                let record = self.store.record(&key::block(&space(), grant.block));
                let is_own =
                    |it: &BlockRecord| it.find(grant.span, &node.name, grant.epoch).is_some();
                if is_kept && !record.is_some_and(|it| is_own(&it)) {
                    continue;
                }
                let key = key::block(&space(), grant.block);
                let place = (key, grant.span.at(), grant.span.len());
                let before = held.insert(place, node.name.clone());
                assert_eq!(before, None, "{grant:?} is on two disks");
            }
        }
        let mut stored = BTreeMap::new();
        for (key, record) in self.store.blocks() {
            for entry in record.entries() {
                let place = (key.clone(), entry.span.at(), entry.span.len());
                stored.insert(place, entry.node.clone());
            }
        }
        assert_eq!(stored, held, "left: the store; right: the disks");
    }
}
