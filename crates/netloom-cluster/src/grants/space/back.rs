//! Giving back: out of the file first, then out of the record.

use super::super::context::Context;
use super::super::idle::Spared;
use super::super::interface::{DiskOp, DiskReply, Expected, Instant, Now, StoreReply};
use super::super::settle::{Claimed, Mode, settle};
use super::super::window::Window;
use super::Job;
use super::pending::Pending;
use super::{Reply, Space};
use crate::disk::{Grant, Intent};
use crate::grid::Block;
use crate::record::PinState;

/// Something of a block that goes back, or a pod's address that is kept from now on.
#[derive(Debug)]
pub(super) struct Back {
    block: Block,
    /// What the node holds of the block then.
    keep: Vec<Grant>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Withdraw,
    Read,
    Swap,
    Write,
}

/// What becomes of a pod's address.
enum Fate {
    Stays,
    GoesBack,
    IsKept { until: Option<u64> },
}

impl Space {
    pub(super) fn begin_back(&mut self, cx: &mut Context<'_>) -> Option<(Job, Pending)> {
        let now = cx.now.instant;
        if let Some(spared) = self.pin_that_ended(cx) {
            return Some(self.withdraw(spared));
        }
        if let Some(spared) = self.spared_for_others(now) {
            return Some(self.withdraw(spared));
        }
        let own = self.wanted.record();
        let own_missing = self
            .wanted
            .pins_missing(self.waiters.iter().map(|it| &it.request));
        if let Some(spared) = self.holding(now).wanted(&own, own_missing) {
            return Some(self.withdraw(spared));
        }
        let spared = self.holding(now).idle(cx.config.idle)?;
        self.shrink();
        Some(self.withdraw(spared))
    }

    /// What the others want of what this node holds, as far as it was not given yet.
    fn spared_for_others(&mut self, now: Instant) -> Option<Spared> {
        let holding = self.holding(now);
        let found = self
            .wants
            .iter()
            .enumerate()
            .find_map(|(at, (want, gave))| {
                let spared = holding.wanted(want, want.missing.saturating_sub(*gave))?;
                Some((at, spared))
            });
        let (at, spared) = found?;
        let given = spared.give.iter().map(|it| u32::from(it.span.len()));
        self.wants[at].1 += given.sum::<u32>();
        Some(spared)
    }

    fn withdraw(&mut self, spared: Spared) -> (Job, Pending) {
        let Spared { block, keep, give } = spared;
        let mut file = self.file.clone();
        file.grants.retain(|it| it.block != block);
        file.grants.extend(keep.iter().cloned());
        file.grants.sort_by_key(|it| (it.block, it.span));
        file.intent = (!give.is_empty()).then(|| Intent::GiveBack(give.clone()));
        // Nor may a pod have the address that is to be kept from now on.
        let is_changed = |it: &&Grant| it.pin.is_some() && it.block == block && !keep.contains(it);
        let mut taken = give;
        taken.extend(self.file.grants.iter().filter(is_changed).cloned());
        let withdraw = DiskOp::Withdraw {
            space: self.name.clone(),
            file,
            taken,
        };
        let back = Back {
            block,
            keep,
            stage: Stage::Withdraw,
        };
        (Job::Back(back), Pending::disk(withdraw))
    }

    pub(super) fn back_goes_on(
        &mut self,
        mut back: Back,
        reply: Reply,
        cx: &mut Context<'_>,
    ) -> Option<(Job, Pending)> {
        match (back.stage, reply) {
            (Stage::Withdraw, Reply::Disk(DiskReply::InUse(usage))) => {
                self.usage.extend(usage);
                self.note_usage(cx.now.instant);
                None
            }
            (Stage::Withdraw, _) => {
                let gone = self.file.grants.iter().filter(|it| it.block == back.block);
                let gone = gone
                    .filter(|it| !back.keep.contains(it))
                    .cloned()
                    .collect::<Vec<_>>();
                self.set_block(back.block, &back.keep);
                self.file.intent = (!gone.is_empty()).then_some(Intent::GiveBack(gone));
                self.note_usage(cx.now.instant);
                // Otherwise the comparison, which comes next, does the rest.
                self.ready.then(|| self.back_read(back))
            }
            (Stage::Read, Reply::Store(StoreReply::Found(found))) => {
                let view = Window::of(back.block).view(&self.name, &found);
                let seen = view.get(back.block)?;
                let Some(record) = &seen.record else {
                    return self.back_done();
                };
                let mode = Mode {
                    announce: false,
                    adopt: false,
                };
                let node = &cx.config.node;
                let settled = settle(back.block, record, &back.keep, node, mode, |_| {
                    Claimed::MayHold
                });
                back.keep = settled.own;
                let Some(new) = settled.record else {
                    return self.back_swapped(back, cx);
                };
                back.stage = Stage::Swap;
                let expected = seen.changed.map_or(Expected::Absent, Expected::At);
                let swap = self.swap(back.block, expected, &new, cx);
                Some((Job::Back(back), Pending::store(swap)))
            }
            (Stage::Swap, Reply::Store(StoreReply::Done)) => self.back_swapped(back, cx),
            (Stage::Swap, _) => Some(self.back_read(back)),
            _ => self.back_done(),
        }
    }

    fn back_read(&self, mut back: Back) -> (Job, Pending) {
        back.stage = Stage::Read;
        let read = Window::of(back.block).read(&self.name);
        (Job::Back(back), Pending::store(read))
    }

    /// What turned out to be somebody else's by now goes out of the file as well.
    fn back_swapped(&mut self, mut back: Back, cx: &mut Context<'_>) -> Option<(Job, Pending)> {
        let held: Vec<_> = self
            .file
            .grants
            .iter()
            .filter(|it| it.block == back.block)
            .collect();
        if held.len() == back.keep.len() {
            return self.back_done();
        }
        self.set_block(back.block, &back.keep);
        self.file.intent = None;
        self.note_usage(cx.now.instant);
        back.stage = Stage::Write;
        let write = DiskOp::WriteGrants(self.name.clone(), self.file.clone());
        Some((Job::Back(back), Pending::disk(write)))
    }

    /// The intent stays on the disk until something else is written there: it says nothing wrong.
    fn back_done(&mut self) -> Option<(Job, Pending)> {
        self.file.intent = None;
        None
    }

    /// A pod's address whose pod is gone.
    fn pin_that_ended(&self, cx: &Context<'_>) -> Option<Spared> {
        for grant in &self.file.grants {
            let fate = self.fate(grant, cx);
            let block = grant.block;
            let others = self.file.grants.iter();
            let others = others.filter(|it| it.block == block && it.span != grant.span);
            let mut keep: Vec<Grant> = others.cloned().collect();
            let give = match fate {
                Fate::Stays => continue,
                Fate::GoesBack => vec![grant.clone()],
                Fate::IsKept { until } => {
                    let mut kept = grant.clone();
                    if let Some(pin) = &mut kept.pin {
                        pin.state = PinState::Kept;
                        pin.until = until;
                    }
                    keep.push(kept);
                    keep.sort_by_key(|it| it.span);
                    Vec::new()
                }
            };
            return Some(Spared { block, keep, give });
        }
        None
    }

    fn fate(&self, grant: &Grant, cx: &Context<'_>) -> Fate {
        let Some(pin) = &grant.pin else {
            return Fate::Stays;
        };
        let place = (grant.block, grant.span);
        let Some(since) = self.empty_since.get(&place) else {
            return Fate::Stays;
        };
        if pin.state == PinState::Kept {
            let has_ended = pin.until.is_some_and(|until| until <= cx.now.wall);
            return if has_ended {
                Fate::GoesBack
            } else {
                Fate::Stays
            };
        }
        // The plugin may be about to take what it was just given.
        let was_reserved = self.occupied.contains(&place);
        if !was_reserved && cx.now.instant < since + cx.config.idle {
            return Fate::Stays;
        }
        match pin.keep.until(cx.now.wall) {
            None => Fate::GoesBack,
            Some(until) => Fate::IsKept { until },
        }
    }

    /// When a pod's address may have to be looked at again.
    pub(super) fn pins_due(&self, idle: Instant, now: Now) -> Option<Instant> {
        let due = self.file.grants.iter().filter_map(|it| {
            let since = *self.empty_since.get(&(it.block, it.span))?;
            let pin = it.pin.as_ref()?;
            match pin.state {
                PinState::Used => Some(since + idle),
                PinState::Kept => {
                    let left = pin.until?.saturating_sub(now.wall);
                    Some(now.instant.saturating_add(left.saturating_mul(1_000)))
                }
            }
        });
        due.min()
    }
}
