//! The search of the whole store for grants of which the disk knows nothing: after the disk was lost.

use super::context::{Operations, Owner};
use super::interface::{Instant, Output, StoreOp, StoreReply};
use crate::grid::Block;
use crate::record::BlockRecord;
use crate::{NodeName, SpaceName, key};

/// How many records a page has.
const PAGE: u32 = 500;
const RETRY: Instant = 500;

/// A search.
#[derive(Debug)]
pub(super) struct Search {
    /// What is still to be read, the first one from `after` on.
    left: Vec<String>,
    after: Option<String>,
    sent: Option<u64>,
    not_before: Instant,
}

impl Search {
    fn new(prefixes: Vec<String>) -> Self {
        Self {
            left: prefixes,
            after: None,
            sent: None,
            not_before: 0,
        }
    }

    /// Of all spaces.
    pub(super) fn everywhere() -> Self {
        Self::new(vec![key::blocks(None)])
    }

    /// Of these spaces.
    pub(super) fn of<'s>(spaces: impl Iterator<Item = &'s SpaceName>) -> Self {
        Self::new(spaces.map(|space| key::blocks(Some(space))).collect())
    }

    pub(super) fn is_under_way(&self) -> bool {
        !self.left.is_empty()
    }

    pub(super) fn send(
        &mut self,
        now: Instant,
        operations: &mut Operations,
        out: &mut Vec<Output>,
    ) {
        let Some(prefix) = self.left.first().filter(|_| self.sent.is_none()) else {
            return;
        };
        if now < self.not_before {
            return;
        }
        let scan = StoreOp::Scan {
            prefix: prefix.clone(),
            after: self.after.clone(),
            limit: PAGE,
        };
        self.sent = Some(operations.store(Owner::Search, scan, out));
    }

    /// Where something of the node was found.
    pub(super) fn reply(
        &mut self,
        id: u64,
        reply: StoreReply,
        node: &NodeName,
        now: Instant,
    ) -> Vec<(SpaceName, Block)> {
        if self.sent != Some(id) {
            return Vec::new();
        }
        self.sent = None;
        let StoreReply::Found(found) = reply else {
            self.not_before = now + RETRY;
            return Vec::new();
        };
        self.after = found.stored.last().map(|it| it.key.clone());
        if !found.more || self.after.is_none() {
            self.after = None;
            self.left.remove(0);
        }
        let is_own = |value: &[u8]| {
            let record = BlockRecord::parse(value);
            record.is_ok_and(|it| it.entries().iter().any(|entry| entry.node == *node))
        };
        let own = found.stored.iter().filter(|it| is_own(&it.value));
        own.filter_map(|it| key::parse_block(&it.key)).collect()
    }

    pub(super) fn wake_at(&self, is_connected: bool) -> Option<Instant> {
        (is_connected && self.is_under_way() && self.sent.is_none()).then_some(self.not_before)
    }
}
