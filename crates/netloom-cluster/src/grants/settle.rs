//! What a block's record says and what the disk says of the own grants, brought together.

use crate::NodeName;
use crate::disk::Grant;
use crate::grid::Block;
use crate::record::{BlockRecord, Entry};

/// Which of the two is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mode {
    /// What the disk has and the record does not is put into the record: the store was wiped, or is
    /// from a backup. Otherwise it was taken away by `remove`, and is lost.
    pub(super) announce: bool,
    /// What the record has and the disk does not is the node's. Otherwise it goes out of the record.
    pub(super) adopt: bool,
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    /// The record as it has to become; `None` if it is so already.
    pub(super) record: Option<BlockRecord>,
    /// What the node holds of the block then.
    pub(super) own: Vec<Grant>,
    /// What the disk had and the node does not hold.
    pub(super) lost: Vec<Grant>,
    /// Nodes that have something of what is announced, and of which it is not known yet whether they
    /// hold it: nothing is done.
    pub(super) wait_for: Vec<NodeName>,
}

/// What is believed of another node's entry that is in the way of an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claimed {
    /// The node has told this store that it holds it.
    Holds,
    /// It has not told it yet.
    MayHold,
    /// It is not waited for any more.
    Forgotten,
}

fn covers(entry: &Entry, grant: &Grant, node: &NodeName) -> bool {
    let (whole, part) = (entry.span.mask(), grant.span.mask());
    entry.node == *node && entry.epoch == grant.epoch && whole & part == part
}

/// The entry of a grant.
pub(super) fn entry_of(grant: &Grant, node: &NodeName) -> Entry {
    Entry {
        span: grant.span,
        node: node.clone(),
        epoch: grant.epoch,
        pin: grant.pin.clone(),
    }
}

fn grant_of(block: Block, entry: &Entry) -> Grant {
    Grant {
        block,
        span: entry.span,
        epoch: entry.epoch,
        pin: entry.pin.clone(),
    }
}

/// Brings a block's record and the own grants of it together.
pub(super) fn settle(
    block: Block,
    record: &BlockRecord,
    mine: &[Grant],
    node: &NodeName,
    mode: Mode,
    of_other: impl Fn(&NodeName) -> Claimed,
) -> Settled {
    let mut own: Vec<Grant> = Vec::new();
    let mut lost = Vec::new();
    let mut wait_for = Vec::new();
    let mut missing = Vec::new();
    for grant in mine {
        if record
            .entries()
            .iter()
            .any(|entry| covers(entry, grant, node))
        {
            own.push(grant.clone());
        } else if mode.announce {
            missing.push(grant.clone());
        } else {
            lost.push(grant.clone());
        }
    }
    for grant in missing {
        let in_the_way = (record.entries().iter())
            .filter(|it| it.node != *node && it.span.mask() & grant.span.mask() != 0);
        let claims: Vec<_> = in_the_way
            .map(|it| (&it.node, of_other(&it.node)))
            .collect();
        if claims.iter().any(|(_, claim)| *claim == Claimed::Holds) {
            lost.push(grant);
            continue;
        }
        let may = claims
            .iter()
            .filter(|(_, claim)| *claim == Claimed::MayHold);
        wait_for.extend(may.map(|(node, _)| (*node).clone()));
        own.push(grant);
    }
    if mode.adopt {
        let listed: u64 = own.iter().fold(0, |all, it| all | it.span.mask());
        let unlisted = record.entries().iter();
        let unlisted = unlisted.filter(|it| it.node == *node && it.span.mask() & listed == 0);
        own.extend(unlisted.map(|entry| grant_of(block, entry)));
    }
    own.sort_by_key(|grant| grant.span);
    let new = rewritten(record, &own, node);
    Settled {
        record: (new != *record).then_some(new),
        own,
        lost,
        wait_for,
    }
}

/// The record with just these grants of the node.
pub(super) fn rewritten(record: &BlockRecord, own: &[Grant], node: &NodeName) -> BlockRecord {
    let mut new = BlockRecord::default();
    for grant in own {
        // Two of them never overlap: the disk's do not, nor the record's.
        let _ = new.add(entry_of(grant, node));
    }
    for entry in record.entries().iter().filter(|it| it.node != *node) {
        // What is in the way now is forgotten.
        let _ = new.add(entry.clone());
    }
    new
}
