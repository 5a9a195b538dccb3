//! What a space's work needs of the machine around it.

use super::interface::{Config, DiskId, DiskOp, Now, OpId, Output, StoreOp, Ticket};
use super::random::Random;
use super::settle::{Claimed, Mode};
use crate::message::Answer;
use crate::{ClusterId, NodeName, SpaceName};
use std::collections::BTreeMap;

/// Whether new grants may be claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// They may.
    Open,
    /// The store does not answer.
    Away,
    /// The store was wiped or is new: these nodes have not told it yet what they hold.
    Waiting(Vec<NodeName>),
}

/// Whose an operation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Space(SpaceName),
    /// The search for grants of which the disk knows nothing.
    Search,
    ClusterFile,
    /// Nobody waits for it.
    Nobody,
}

/// The numbers of operations, and whose they are.
#[derive(Debug, Default)]
pub(super) struct Operations {
    last: u64,
    owners: BTreeMap<u64, Owner>,
}

impl Operations {
    fn issue(&mut self, owner: Owner) -> u64 {
        self.last += 1;
        self.owners.insert(self.last, owner);
        self.last
    }

    /// Whose an operation is that has ended.
    pub(super) fn end(&mut self, id: u64) -> Option<Owner> {
        self.owners.remove(&id)
    }

    pub(super) fn store(&mut self, owner: Owner, op: StoreOp, out: &mut Vec<Output>) -> u64 {
        let id = self.issue(owner);
        out.push(Output::Store(OpId(id), op));
        id
    }

    pub(super) fn disk(&mut self, owner: Owner, op: DiskOp, out: &mut Vec<Output>) -> u64 {
        let id = self.issue(owner);
        out.push(Output::Disk(DiskId(id), op));
        id
    }
}

/// What a space sees of the machine while it works.
pub(super) struct Context<'m> {
    pub(super) now: Now,
    pub(super) config: &'m Config,
    pub(super) random: &'m mut Random,
    pub(super) operations: &'m mut Operations,
    pub(super) out: &'m mut Vec<Output>,
    pub(super) gate: Gate,
    /// Whom the store is compared with; `None` while that is not known.
    pub(super) mode: Option<Mode>,
    /// The other nodes, and to which store each has told what it holds.
    pub(super) nodes: &'m BTreeMap<NodeName, Option<ClusterId>>,
    /// The store, if it answers.
    pub(super) cluster: Option<&'m ClusterId>,
    /// Whether nodes that have not announced themselves are waited for.
    pub(super) waits: bool,
}

impl Context<'_> {
    pub(super) fn is_connected(&self) -> bool {
        self.cluster.is_some()
    }

    /// Whether it is this node or one that was not removed.
    pub(super) fn knows(&self, node: &NodeName) -> bool {
        *node == self.config.node || self.nodes.contains_key(node)
    }

    pub(super) fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.out.push(Output::Answer(ticket, answer));
    }

    pub(super) fn tell(&mut self, line: String) {
        self.out.push(Output::Tell(line));
    }

    /// What is believed of another node's entry.
    pub(super) fn claimed(&self, node: &NodeName) -> Claimed {
        let announced = self.nodes.get(node).and_then(Option::as_ref);
        if announced.is_some() && announced == self.cluster {
            Claimed::Holds
        } else if self.waits {
            Claimed::MayHold
        } else {
            Claimed::Forgotten
        }
    }
}
