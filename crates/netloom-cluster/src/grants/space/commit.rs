//! A claim, from the intent on the disk over the swap to the grants on the disk.

use super::super::context::Context;
use super::super::interface::{DiskOp, Expected, StoreReply, Ticket};
use super::super::settle::entry_of;
use super::super::window::Window;
use super::Job;
use super::pending::Pending;
use super::{LATE, Reply, Space};
use crate::disk::{Grant, Intent};
use crate::grid::Block;
use crate::record::BlockRecord;
use std::net::IpAddr;

/// A claim of one block.
#[derive(Debug)]
pub(super) struct Commit {
    block: Block,
    expected: Expected,
    record: BlockRecord,
    grants: Vec<Grant>,
    stage: Stage,
    then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Intent,
    Swap,
    Check,
    Write,
}

/// For whom it is.
#[derive(Debug)]
pub(super) enum Then {
    Waiters,
    /// A pod, after the addresses of its sets before this one.
    Pin {
        ticket: Ticket,
        done: Vec<IpAddr>,
    },
}

impl Commit {
    /// Whether nothing was asked of the store yet.
    pub(super) fn is_only_meant(&self) -> bool {
        self.stage == Stage::Intent
    }
}

impl Space {
    /// Claims these grants of a block, whose record is to become this one.
    pub(super) fn begin_commit(
        &mut self,
        block: Block,
        changed: Option<u64>,
        record: BlockRecord,
        grants: Vec<Grant>,
        then: Then,
    ) -> (Job, Pending) {
        self.file.intent = Some(Intent::Claim(grants.clone()));
        let write = DiskOp::WriteGrants(self.name.clone(), self.file.clone());
        let commit = Commit {
            block,
            expected: changed.map_or(Expected::Absent, Expected::At),
            record,
            grants,
            stage: Stage::Intent,
            then,
        };
        (Job::Commit(commit), Pending::disk(write))
    }

    pub(super) fn commit_goes_on(
        &mut self,
        mut commit: Commit,
        pending: &Pending,
        reply: Reply,
        cx: &mut Context<'_>,
    ) -> Option<(Job, Pending)> {
        match (commit.stage, reply) {
            (Stage::Intent, _) => {
                commit.stage = Stage::Swap;
                let swap = self.swap(commit.block, commit.expected, &commit.record, cx);
                Some((Job::Commit(commit), Pending::store(swap)))
            }
            (Stage::Swap, Reply::Store(StoreReply::Done)) => {
                self.note_late(&commit, pending, cx);
                Some(self.commit_write(commit, cx))
            }
            // One of the times that it was sent may have succeeded, and others may have gone on from there;
            // and what was sent once may have come twice, so that a conflict is one with itself.
            (Stage::Swap, _) => {
                self.note_late(&commit, pending, cx);
                commit.stage = Stage::Check;
                let read = Window::of(commit.block).read(&self.name);
                Some((Job::Commit(commit), Pending::store(read)))
            }
            (Stage::Check, Reply::Store(StoreReply::Found(found))) => {
                let view = Window::of(commit.block).view(&self.name, &found);
                let record = view.get(commit.block).and_then(|seen| seen.record.as_ref());
                let node = &cx.config.node;
                let is_there = |grant: &Grant| {
                    record.is_some_and(|it| it.find(grant.span, node, grant.epoch).is_some())
                };
                if commit.grants.iter().all(is_there) {
                    return Some(self.commit_write(commit, cx));
                }
                self.lost(commit, cx)
            }
            (Stage::Write, _) => self.won(commit, cx),
            _ => self.lost(commit, cx),
        }
    }

    fn note_late(&mut self, commit: &Commit, pending: &Pending, cx: &Context<'_>) {
        if pending.uncertain && commit.expected == Expected::Absent {
            self.late.insert(commit.block, cx.now.instant + LATE);
        }
    }

    fn commit_write(&mut self, mut commit: Commit, cx: &mut Context<'_>) -> (Job, Pending) {
        commit.stage = Stage::Write;
        for grant in &commit.grants {
            let is_other =
                |it: &Grant| it.block != grant.block || it.span.mask() & grant.span.mask() == 0;
            self.file.grants.retain(is_other);
            self.file.grants.push(grant.clone());
            let place = (grant.block, grant.span);
            self.claimed_at.insert(place, cx.now.instant);
            // Who had it before is not who is about to take it.
            self.occupied.remove(&place);
            self.empty_since.remove(&place);
        }
        self.file.grants.sort_by_key(|it| (it.block, it.span));
        self.file.intent = None;
        self.note_usage(cx.now.instant);
        let write = DiskOp::WriteGrants(self.name.clone(), self.file.clone());
        (Job::Commit(commit), Pending::disk(write))
    }

    fn won(&mut self, commit: Commit, cx: &mut Context<'_>) -> Option<(Job, Pending)> {
        match commit.then {
            Then::Waiters => {
                self.grow(cx.now.instant);
                self.serve(cx)
            }
            Then::Pin { ticket, done } => {
                let grant = commit.grants.first()?;
                let address = commit.block.address(grant.span.at());
                self.pin_done(ticket, done, address, cx)
            }
        }
    }

    fn lost(&mut self, commit: Commit, cx: &mut Context<'_>) -> Option<(Job, Pending)> {
        self.file.intent = None;
        // Whoever was faster is busy there; the others should not come back all at once.
        self.rounds += 1;
        let most = 10_u128 << self.rounds.min(5);
        self.not_before = cx.now.instant + cx.random.below(most) as u64;
        if let Then::Pin { ticket, .. } = commit.then {
            self.put_last(ticket);
        }
        None
    }
}

/// The record with these grants added, if there is room for all.
pub(super) fn with(
    record: &BlockRecord,
    grants: &[Grant],
    node: &crate::NodeName,
) -> Option<BlockRecord> {
    let mut record = record.clone();
    let fits = grants.iter().all(|grant| record.add(entry_of(grant, node)));
    fits.then_some(record)
}
