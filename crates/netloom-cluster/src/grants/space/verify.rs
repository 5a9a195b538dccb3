//! The comparison of what the disk says with what the store says: after a start, after each connection,
//! and later for single blocks in which a late request may have done something.

use super::super::context::Context;
use super::super::idle::pieces;
use super::super::interface::{DiskOp, Expected, Found, StoreOp, Usage};
use super::super::settle::{Mode, entry_of, rewritten, settle};
use super::super::window::Window;
use super::Job;
use super::Space;
use super::pending::Pending;
use crate::disk::{Grant, Intent};
use crate::grid::{Block, Span};
use crate::key;
use crate::record::BlockRecord;
use std::collections::VecDeque;

/// How long until a block is read again whose holder has not announced itself.
const ASK_AGAIN: u64 = 1_000;

/// A comparison under way.
#[derive(Debug)]
pub(super) struct Verify {
    queue: VecDeque<Block>,
    /// What is held of the blocks that were compared.
    own: Vec<Grant>,
    compared: Vec<Block>,
    /// What is held of the first block of the queue when its swap succeeds.
    next: Vec<Grant>,
    /// Whether it is of all blocks.
    whole: bool,
    mode: Mode,
}

/// What the disk did not have is claimed anew at this revision: a request of an earlier start that is on
/// its way yet, to give just this back, then fails, or came before and is seen.
fn renew(own: &mut [Grant], mine: &[Grant], revision: u64) {
    for grant in own.iter_mut().filter(|it| !mine.contains(it)) {
        grant.epoch = revision;
    }
}

/// What pods have, where neither the file nor the store says what was granted.
fn from_reservations(usage: &Usage) -> Vec<Grant> {
    let grant = |block: Block, span| Grant {
        block,
        span,
        epoch: 0,
        pin: None,
    };
    let grants = usage.iter().flat_map(|(block, used)| {
        pieces(Span::WHOLE, *used)
            .into_iter()
            .map(|span| grant(*block, span))
    });
    grants.collect()
}

impl Space {
    pub(super) fn begin_verify(&mut self, cx: &mut Context<'_>) -> Option<(Job, Pending)> {
        let mode = cx.mode?;
        if std::mem::take(&mut self.is_damaged) && mode.announce {
            self.file.grants = from_reservations(&self.usage);
        }
        let mut blocks = std::mem::take(&mut self.unlisted);
        blocks.extend(self.file.grants.iter().map(|it| it.block));
        if let Some(Intent::Claim(grants) | Intent::GiveBack(grants)) = &self.file.intent {
            blocks.extend(grants.iter().map(|it| it.block));
        }
        let verify = Verify {
            queue: blocks.into_iter().collect(),
            own: Vec::new(),
            compared: Vec::new(),
            next: Vec::new(),
            whole: true,
            mode,
        };
        self.verify_block(verify, cx)
    }

    /// Looks again at a block in which a late request may have done something.
    pub(super) fn begin_recheck(&mut self, cx: &mut Context<'_>) -> Option<(Job, Pending)> {
        let due = |(_, until): &(&Block, &u64)| **until <= cx.now.instant;
        let block = *self.late.iter().find(due)?.0;
        let verify = Verify {
            queue: [block].into(),
            own: Vec::new(),
            compared: Vec::new(),
            next: Vec::new(),
            whole: false,
            mode: Mode {
                announce: false,
                adopt: true,
            },
        };
        self.late.remove(&block);
        self.verify_block(verify, cx)
    }

    /// Reads the next block; after the last one the file is written.
    pub(super) fn verify_block(
        &mut self,
        verify: Verify,
        cx: &mut Context<'_>,
    ) -> Option<(Job, Pending)> {
        if let Some(block) = verify.queue.front() {
            let read = Window::of(*block).read(&self.name);
            return Some((Job::Verify(verify), Pending::store(read)));
        }
        let Verify { own, compared, .. } = &verify;
        let mut file = self.file.clone();
        file.grants.retain(|it| !compared.contains(&it.block));
        file.grants.extend_from_slice(own);
        file.grants.sort_by_key(|it| (it.block, it.span));
        if verify.whole {
            file.intent = None;
            file.verified_in = Some(cx.config.boot.clone());
        }
        if file == self.file {
            return self.verify_written(&verify, cx);
        }
        self.file = file;
        self.note_usage(cx.now.instant);
        let write = DiskOp::WriteGrants(self.name.clone(), self.file.clone());
        Some((Job::Verify(verify), Pending::disk(write)))
    }

    pub(super) fn verify_written(
        &mut self,
        verify: &Verify,
        cx: &mut Context<'_>,
    ) -> Option<(Job, Pending)> {
        self.ready |= verify.whole;
        self.not_before = cx.now.instant;
        None
    }

    pub(super) fn verify_found(
        &mut self,
        mut verify: Verify,
        found: &Found,
        cx: &mut Context<'_>,
    ) -> Option<(Job, Pending)> {
        let block = *verify.queue.front()?;
        let view = Window::of(block).view(&self.name, found);
        let seen = view.get(block)?;
        let Some(record) = &seen.record else {
            let key = key::block(&self.name, block);
            cx.tell(format!(
                "{key} cannot be understood: its addresses are not given here"
            ));
            verify.compared.push(block);
            verify.queue.pop_front();
            return self.verify_block(verify, cx);
        };
        let mine: Vec<Grant> = self
            .file
            .grants
            .iter()
            .filter(|it| it.block == block)
            .cloned()
            .collect();
        let mode = Mode {
            adopt: verify.mode.adopt && !self.gives_back(block),
            ..verify.mode
        };
        let mut settled = settle(block, record, &mine, &cx.config.node, mode, |node| {
            cx.claimed(node)
        });
        if !settled.wait_for.is_empty() {
            let read = Window::of(block).read(&self.name);
            let later = Pending::store(read).not_before(cx.now.instant + ASK_AGAIN);
            return Some((Job::Verify(verify), later));
        }
        self.tell_lost(&settled.lost, cx);
        renew(&mut settled.own, &mine, view.revision);
        let mut new = rewritten(record, &settled.own, &cx.config.node);
        if !verify.mode.announce {
            self.claim_again(block, &mut new, &mut settled.own, view.revision, cx);
        }
        verify.next = settled.own;
        let now = cx.now.instant;
        let is_empty = new.is_empty() && seen.changed.is_some();
        if new == *record && !(is_empty && self.may_remove(block, now)) {
            if is_empty {
                self.note_empty(block, now);
            } else {
                self.note_there(block, record, cx);
            }
            return self.verify_swapped(verify, cx);
        }
        let expected = seen.changed.map_or(Expected::Absent, Expected::At);
        let swap = self.swap(block, expected, &new, cx);
        Some((Job::Verify(verify), Pending::store(swap)))
    }

    pub(super) fn verify_swapped(
        &mut self,
        mut verify: Verify,
        cx: &mut Context<'_>,
    ) -> Option<(Job, Pending)> {
        verify.compared.extend(verify.queue.pop_front());
        let next = std::mem::take(&mut verify.next);
        verify.own.extend(next);
        self.verify_block(verify, cx)
    }

    fn tell_lost(&self, lost: &[Grant], cx: &mut Context<'_>) {
        for grant in lost {
            let (first, len) = (grant.block.address(grant.span.at()), grant.span.len());
            cx.tell(format!(
                "space {}: {len} addresses from {first} are not this node's any more",
                self.name
            ));
        }
    }

    fn gives_back(&self, block: Block) -> bool {
        matches!(&self.file.intent, Some(Intent::GiveBack(all)) if all.iter().any(|it| it.block == block))
    }

    /// A claim of an earlier start that may yet arrive is made again, so that at most one of the two
    /// succeeds and it is known which.
    fn claim_again(
        &mut self,
        block: Block,
        new: &mut BlockRecord,
        own: &mut Vec<Grant>,
        revision: u64,
        cx: &Context<'_>,
    ) {
        let Some(Intent::Claim(grants)) = &self.file.intent else {
            return;
        };
        for grant in grants.iter().filter(|it| it.block == block) {
            let again = Grant {
                epoch: revision,
                ..grant.clone()
            };
            if new.add(entry_of(&again, &cx.config.node)) {
                own.push(again);
            }
        }
        own.sort_by_key(|it| it.span);
    }

    /// The swap that makes a record so. One that is left empty is removed later.
    pub(super) fn swap(
        &mut self,
        block: Block,
        expected: Expected,
        record: &BlockRecord,
        cx: &Context<'_>,
    ) -> StoreOp {
        let removes = record.is_empty() && self.may_remove(block, cx.now.instant);
        if record.is_empty() && !removes {
            self.note_empty(block, cx.now.instant);
        } else {
            self.note_there(block, record, cx);
        }
        StoreOp::Swap {
            key: key::block(&self.name, block),
            expected,
            value: (!removes).then(|| record.to_json()),
        }
    }

    /// Keeps in mind since when a record is there that cannot go, because it has something of this node.
    fn note_there(&mut self, block: Block, record: &BlockRecord, cx: &Context<'_>) {
        if record.entries().iter().any(|it| it.node == cx.config.node) {
            self.there_since.entry(block).or_insert(cx.now.instant);
        } else {
            self.there_since.remove(&block);
        }
    }
}
