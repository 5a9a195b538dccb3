//! A node: its machine while its daemon lives, its disk, and its plugins that wait.

use crate::disk::{Disk, SPACE};
use netloom_cluster::grants::{Config, Machine, OpId, StoreReply};
use netloom_cluster::message::Request;
use netloom_cluster::{NodeName, SpaceName, key};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// An ADD under way.
#[derive(Clone, Debug)]
pub(crate) struct Add {
    pub(crate) pod: u64,
    /// The pod's name, where its address is kept for it.
    pub(crate) name: Option<String>,
    pub(crate) request: Request,
    pub(crate) deadline: u64,
}

pub(crate) struct Node {
    pub(crate) name: NodeName,
    pub(crate) machine: Option<Machine>,
    /// Which start of the daemon; what belongs to an earlier one is dropped.
    pub(crate) start: u64,
    pub(crate) boot: u64,
    pub(crate) disk: Disk,
    pub(crate) adds: BTreeMap<u64, Add>,
    /// Whether nothing gets to the store and back.
    pub(crate) is_cut_off: bool,
    /// Whether `remove` has given its addresses to others.
    pub(crate) is_fenced: bool,
    /// For how much its wall clock is wrong, in seconds.
    pub(crate) skew: u64,
    pub(crate) next_tick: Option<u64>,
    pub(crate) requests: u64,
    pub(crate) is_watch_due: bool,
    /// The reads under way, and the keys that each is of.
    pub(crate) reads: BTreeMap<OpId, Range<String>>,
    /// The keys of what was on the disk at the boot, as long as they have not been read since.
    pub(crate) uncompared: BTreeSet<String>,
}

impl Node {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            name: NodeName::new(format!("n{number}")).unwrap(),
            machine: None,
            start: 0,
            boot: 1,
            disk: Disk::default(),
            adds: BTreeMap::new(),
            is_cut_off: false,
            is_fenced: false,
            skew: number * 7,
            next_tick: None,
            requests: 0,
            is_watch_due: false,
            reads: BTreeMap::new(),
            uncompared: BTreeSet::new(),
        }
    }

    /// The machine has come up again.
    pub(crate) fn note_boot(&mut self) {
        let space = SpaceName::new(SPACE).unwrap();
        let grants = self.disk.file().unwrap_or_default().grants;
        let keys = grants.iter().map(|it| key::block(&space, it.block));
        self.uncompared = keys.collect();
    }

    /// The daemon hears what the store has.
    pub(crate) fn read_is_answered(&mut self, id: OpId, reply: &StoreReply) {
        let range = self.reads.remove(&id);
        if let (Some(range), StoreReply::Found(_)) = (range, reply) {
            self.uncompared.retain(|key| !range.contains(key));
        }
    }

    pub(crate) fn boot_id(&self) -> String {
        format!("boot-{}-{}", self.name, self.boot)
    }

    /// Starts the daemon from what is on the disk.
    pub(crate) fn start(&mut self, seed: u64) {
        self.start += 1;
        self.next_tick = None;
        self.reads.clear();
        let config = Config {
            node: self.name.clone(),
            boot: self.boot_id(),
            forget_after: 600_000,
            idle: 60_000,
            seed,
        };
        let space = SpaceName::new(SPACE).unwrap();
        let spaces = self.disk.grants.as_ref().map(|_| (space, self.disk.file()));
        self.machine = Some(Machine::new(
            config,
            self.disk.cluster(),
            spaces.into_iter().collect(),
        ));
    }
}
