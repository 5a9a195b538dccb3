//! The one operation that a space waits for.

use super::super::context::{Context, Owner};
use super::super::interface::{DiskOp, Instant, StoreOp};
use crate::SpaceName;

/// How long until an operation without an outcome is tried again, at first and at most.
const FIRST_RETRY: Instant = 100;
const LAST_RETRY: Instant = 2_000;

#[derive(Debug)]
enum Action {
    Store(StoreOp),
    Disk(DiskOp),
}

/// An operation, sent or about to be. One without an outcome is sent again as it was: an answer to any
/// of the times settles all of them, because a swap succeeds once at most.
#[derive(Debug)]
pub(super) struct Pending {
    action: Action,
    sent: Option<u64>,
    not_before: Instant,
    tries: u32,
    /// Whether it may have been done already, or may yet be done twice.
    pub(super) uncertain: bool,
}

impl Pending {
    fn new(action: Action) -> Self {
        Self {
            action,
            sent: None,
            not_before: 0,
            tries: 0,
            uncertain: false,
        }
    }

    pub(super) fn store(op: StoreOp) -> Self {
        Self::new(Action::Store(op))
    }

    pub(super) fn disk(op: DiskOp) -> Self {
        Self::new(Action::Disk(op))
    }

    pub(super) fn not_before(mut self, instant: Instant) -> Self {
        self.not_before = instant;
        self
    }

    pub(super) fn is_of_store(&self) -> bool {
        matches!(self.action, Action::Store(_))
    }

    pub(super) fn is(&self, id: u64) -> bool {
        self.sent == Some(id)
    }

    /// Sends it, if it is time and the store is there.
    pub(super) fn send(&mut self, space: &SpaceName, cx: &mut Context<'_>) {
        let is_possible = cx.is_connected() || !self.is_of_store();
        if self.sent.is_some() || cx.now.instant < self.not_before || !is_possible {
            return;
        }
        let owner = Owner::Space(space.clone());
        self.sent = Some(match &self.action {
            Action::Store(op) => cx.operations.store(owner, op.clone(), cx.out),
            Action::Disk(op) => cx.operations.disk(owner, op.clone(), cx.out),
        });
    }

    /// It has no outcome: it is sent again after a while.
    pub(super) fn again(&mut self, may_have_happened: bool, cx: &mut Context<'_>) {
        self.sent = None;
        self.uncertain |= may_have_happened;
        let wait = LAST_RETRY.min(FIRST_RETRY << self.tries.min(5));
        self.tries += 1;
        let jitter = cx.random.below(u128::from(wait)) as Instant;
        self.not_before = cx.now.instant + wait / 2 + jitter / 2;
    }

    /// When it has to be sent.
    pub(super) fn wake_at(&self, is_connected: bool) -> Option<Instant> {
        let waits = self.sent.is_none() && (is_connected || !self.is_of_store());
        waits.then_some(self.not_before)
    }
}
