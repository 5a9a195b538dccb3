//! The store: a linearizable map with revisions, leases, and an id.

use netloom_cluster::grants::{Expected, Found, StoreOp, StoreReply, Stored};
use netloom_cluster::record::{BlockRecord, NodeRecord, WantRecord};
use netloom_cluster::{ClusterId, NodeName, SpaceName, key};
use std::collections::BTreeMap;

/// A value and the revision at which it was changed last.
#[derive(Clone, Debug)]
struct Value {
    bytes: Vec<u8>,
    revision: u64,
    /// The node with whose lease it goes.
    lease: Option<NodeName>,
}

/// What a swap did to a record.
pub(crate) struct Change {
    pub(crate) key: String,
    pub(crate) before: Option<BlockRecord>,
    pub(crate) after: Option<BlockRecord>,
}

#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) cluster: ClusterId,
    revision: u64,
    map: BTreeMap<String, Value>,
    /// The nodes' records as they are parsed: everybody who watches is told all of them.
    nodes: BTreeMap<NodeName, NodeRecord>,
    pub(crate) swaps: u64,
    pub(crate) conflicts: u64,
}

impl Store {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            cluster: ClusterId::new(format!("store-{number}")).unwrap(),
            revision: 1,
            map: BTreeMap::new(),
            nodes: BTreeMap::new(),
            swaps: 0,
            conflicts: 0,
        }
    }

    /// As after a restore from a copy: what was written since is gone, and the id is another one.
    pub(crate) fn restored(copy: &Self, number: u64) -> Self {
        Self {
            cluster: ClusterId::new(format!("store-{number}")).unwrap(),
            ..copy.clone()
        }
    }

    /// Carries out an operation of a node.
    pub(crate) fn apply(&mut self, node: &NodeName, op: &StoreOp) -> (StoreReply, Option<Change>) {
        match op {
            StoreOp::Range { from, to } => {
                let found = self.map.range(from.clone()..to.clone());
                let stored = found.map(|(key, value)| stored(key, value)).collect();
                (self.found(stored, false), None)
            }
            StoreOp::Scan {
                prefix,
                after,
                limit,
            } => {
                let from = after
                    .as_ref()
                    .map_or_else(|| prefix.clone(), |it| format!("{it}\0"));
                let mut all = self
                    .map
                    .range(from..)
                    .take_while(|(key, _)| key.starts_with(prefix));
                let page = all.by_ref().take(*limit as usize);
                let page: Vec<_> = page.map(|(key, value)| stored(key, value)).collect();
                let more = all.next().is_some();
                (self.found(page, more), None)
            }
            StoreOp::Swap {
                key,
                expected,
                value,
            } => self.swap(key, *expected, value.as_ref()),
            StoreOp::Leased { key, value } => {
                self.put(key, value.clone(), Some(node.clone()));
                (StoreReply::Done, None)
            }
        }
    }

    fn found(&self, stored: Vec<Stored>, more: bool) -> StoreReply {
        StoreReply::Found(Found {
            revision: self.revision,
            stored,
            more,
        })
    }

    fn swap(
        &mut self,
        key: &str,
        expected: Expected,
        value: Option<&Vec<u8>>,
    ) -> (StoreReply, Option<Change>) {
        let now = self.map.get(key).map(|it| it.revision);
        let is_as_expected = match expected {
            Expected::Absent => now.is_none(),
            Expected::At(revision) => now == Some(revision),
        };
        if !is_as_expected {
            self.conflicts += 1;
            return (StoreReply::Conflict, None);
        }
        self.swaps += 1;
        let before = self
            .map
            .get(key)
            .and_then(|it| BlockRecord::parse(&it.bytes).ok());
        self.put(key, value.cloned(), None);
        let after = value.map(|bytes| {
            BlockRecord::parse(bytes)
                .unwrap_or_else(|error| panic!("{key} is written badly: {error}"))
        });
        let change = Change {
            key: key.to_owned(),
            before,
            after,
        };
        (StoreReply::Done, Some(change))
    }

    pub(crate) fn put(&mut self, key: &str, bytes: Option<Vec<u8>>, lease: Option<NodeName>) {
        self.revision += 1;
        if let Some(node) = key::parse_node(key) {
            match bytes.as_deref().map(NodeRecord::parse) {
                Some(Ok(record)) => drop(self.nodes.insert(node, record)),
                _ => drop(self.nodes.remove(&node)),
            }
        }
        match bytes {
            Some(bytes) => {
                let value = Value {
                    bytes,
                    revision: self.revision,
                    lease,
                };
                self.map.insert(key.to_owned(), value);
            }
            None => drop(self.map.remove(key)),
        }
    }

    /// A node's lease has ended.
    pub(crate) fn end_lease(&mut self, node: &NodeName) {
        self.map
            .retain(|_, value| value.lease.as_ref() != Some(node));
    }

    pub(crate) fn record(&self, key: &str) -> Option<BlockRecord> {
        BlockRecord::parse(&self.map.get(key)?.bytes).ok()
    }

    pub(crate) fn bytes(&self, key: &str) -> Option<(Vec<u8>, u64)> {
        self.map.get(key).map(|it| (it.bytes.clone(), it.revision))
    }

    /// Every block's record.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (&String, BlockRecord)> {
        let prefix = key::blocks(None);
        let blocks = self
            .map
            .range(prefix.clone()..)
            .take_while(move |(key, _)| key.starts_with(&prefix));
        blocks.filter_map(|(key, value)| Some((key, BlockRecord::parse(&value.bytes).ok()?)))
    }

    pub(crate) fn nodes(&self) -> BTreeMap<NodeName, NodeRecord> {
        self.nodes.clone()
    }

    /// What others than this node want of a space.
    pub(crate) fn wants(&self, space: &SpaceName, but: &NodeName) -> Vec<WantRecord> {
        let prefix = key::wants();
        let wants = self
            .map
            .range(prefix.clone()..)
            .take_while(|(key, _)| key.starts_with(&prefix));
        let is_others =
            |key: &str| key::parse_want(key).is_some_and(|(of, node)| of == *space && node != *but);
        let wants = wants.filter(|(key, _)| is_others(key));
        let wants: Vec<WantRecord> = wants
            .filter_map(|(_, value)| WantRecord::parse(&value.bytes).ok())
            .collect();
        WantRecord::together(&wants)
    }
}

fn stored(key: &str, value: &Value) -> Stored {
    Stored {
        key: key.to_owned(),
        value: value.bytes.clone(),
        revision: value.revision,
    }
}
