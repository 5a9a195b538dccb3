//! What goes into the machine and what comes out.

use crate::disk::{ClusterFile, Grant, GrantsFile};
use crate::grid::Block;
use crate::message::{Answer, Request};
use crate::record::{NodeRecord, WantRecord};
use crate::{ClusterId, NodeName, SpaceName};
use std::collections::BTreeMap;

/// Milliseconds of a clock that never goes back, from any beginning.
pub type Instant = u64;

/// What the clocks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For waiting.
    pub instant: Instant,
    /// Seconds since 1970; only how long a kept address waits for its pod depends on it.
    pub wall: u64,
}

/// How the machine behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// The own name.
    pub node: NodeName,
    /// This run of the kernel.
    pub boot: String,
    /// How long, after the first connection to an unknown store, a node is waited for that does not
    /// announce itself, in milliseconds.
    pub forget_after: Instant,
    /// How long a grant that is not needed is idle before it goes back, in milliseconds.
    pub idle: Instant,
    /// For the choice of where to look; any number, another one at each start.
    pub seed: u64,
}

/// A store operation that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// A disk operation that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskId(pub u64);

/// A plugin that waits. The daemon chooses the numbers and uses none twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Which addresses of each block are reserved on this node: a bit for each, the lowest is the block's
/// first.
pub type Usage = BTreeMap<Block, u64>;

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The store answers, and this is its id. Again after each [`Input::Disconnected`].
    Connected(ClusterId),
    /// The store does not answer. What was under way gets its replies nevertheless
    /// ([`StoreReply::Unknown`], say).
    Disconnected,
    /// All records of nodes as they stand now; after each connection, and after each change. The own
    /// is among them if it is there. What could not be parsed is left out.
    Nodes(BTreeMap<NodeName, NodeRecord>),
    /// What the other nodes lack in a space, see [`WantRecord::together`].
    Wants(SpaceName, Vec<WantRecord>),
    /// What is reserved in a space: at the start, before the first [`Input::Connected`], and after each
    /// change (inotify).
    Usage(SpaceName, Usage),
    /// A plugin asks.
    Request(Ticket, Request),
    /// A plugin does not wait any longer.
    Gone(Ticket),
    /// The outcome of a store operation.
    Store(OpId, StoreReply),
    /// The outcome of a disk operation.
    Disk(DiskId, DiskReply),
    /// Time has passed.
    Tick,
}

/// What is to be done. Outputs may be carried out side by side: the machine waits for the reply where
/// the order counts.
#[derive(Clone, Debug)]
pub enum Output {
    /// A store operation; exactly one [`Input::Store`] comes back for each.
    Store(OpId, StoreOp),
    /// A disk operation; exactly one [`Input::Disk`] comes back for each.
    Disk(DiskId, DiskOp),
    /// The plugin's answer. One whose plugin is gone is dropped.
    Answer(Ticket, Answer),
    /// The own record of the node is to be written with these two fields. Asked again at each
    /// connection, and until the record says so in [`Input::Nodes`].
    Announce {
        /// As [`NodeRecord::announced`].
        announced: ClusterId,
        /// As [`NodeRecord::settled`].
        settled: bool,
    },
    /// One line for the log: something that people should know.
    Tell(String),
}

/// A store operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOp {
    /// Reads keys from the first, included, to the last, excluded, in ascending order: a window that
    /// holds at most 64 keys.
    Range {
        /// The first key.
        from: String,
        /// The key after the last one.
        to: String,
    },
    /// Reads at most `limit` keys that begin with `prefix` and come after `after`, in ascending order.
    Scan {
        /// What the keys begin with.
        prefix: String,
        /// Where the last page ended.
        after: Option<String>,
        /// How many at most.
        limit: u32,
    },
    /// Writes or removes a key if it is as expected, in one step.
    Swap {
        /// The key.
        key: String,
        /// How it has to be.
        expected: Expected,
        /// What it becomes; `None` removes it.
        value: Option<Vec<u8>>,
    },
    /// Writes a key under the node's lease, so that it goes with the daemon. `None` removes it.
    Leased {
        /// The key.
        key: String,
        /// What it becomes.
        value: Option<Vec<u8>>,
    },
}

/// How a key has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It is not there.
    Absent,
    /// It was changed last at this revision.
    At(u64),
}

/// A key that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The key.
    pub key: String,
    /// Its value.
    pub value: Vec<u8>,
    /// At which revision of the store it was changed last.
    pub revision: u64,
}

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The store's revision at the read, not below that of any change before it.
    pub revision: u64,
    /// In ascending order of keys.
    pub stored: Vec<Stored>,
    /// Whether a [`StoreOp::Scan`] has more.
    pub more: bool,
}

/// The outcome of a store operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreReply {
    /// Of [`StoreOp::Range`] and [`StoreOp::Scan`].
    Found(Found),
    /// It was written, or removed.
    Done,
    /// The key was not as expected; nothing was changed.
    Conflict,
    /// Nobody knows: it may have happened, or not, or may yet.
    Unknown(String),
    /// It certainly did not happen, and never will.
    Failed(String),
}

/// A disk operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskOp {
    /// Writes a space's grants durably: a new file, fsync, rename, fsync of the directory.
    WriteGrants(SpaceName, GrantsFile),
    /// The same under the space's lock, and only if nothing is reserved in any of `taken`.
    Withdraw {
        /// The space.
        space: SpaceName,
        /// What to write.
        file: GrantsFile,
        /// What is not among the grants any more.
        taken: Vec<Grant>,
    },
    /// Looks which addresses of the space are reserved now.
    Count(SpaceName),
    /// Writes what the node knows of the cluster, durably.
    WriteCluster(ClusterFile),
}

/// The outcome of a disk operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskReply {
    /// It is done and durable.
    Done,
    /// Of [`DiskOp::Count`].
    Reserved(Usage),
    /// Of [`DiskOp::Withdraw`]: something of it is reserved, as this says; nothing was written.
    InUse(Usage),
    /// It failed; the file is as before, or as it was to be.
    Failed(String),
}
