//! Requests for any address: who can be served, and the search for what is lacking.

use super::super::context::{Context, Gate};
use super::super::interface::{DiskOp, Found, Instant, Usage};
use super::super::window::{View, Window, Windows};
use super::Job;
use super::commit::{Then, with};
use super::pending::Pending;
use super::{FIRST_SIZE, Space};
use crate::disk::Grant;
use crate::grid::{BLOCK, Block};
use crate::message::{Answer, Op, WantedSet};
use std::collections::BTreeMap;

/// How many windows are read before others are asked.
const MOST_WINDOWS: u128 = 64;
/// Claims that follow each other in this time make the next one larger.
const BUSY: Instant = 10_000;
/// Fewer free addresses than these are too few when the plugin says that it ran low.
const LOW: u32 = 8;

/// What is lacking.
#[derive(Clone, Debug)]
pub(super) struct Demand {
    set: WantedSet,
    count: u32,
    fixed: Option<u8>,
    /// Whether nobody waits for it.
    spare: bool,
}

/// A search.
#[derive(Debug)]
pub(super) struct Look {
    demand: Demand,
    windows: Windows,
    /// Which window is read.
    window: Window,
    /// The number of the first window of the walk through all, and how many of these were read.
    start: u128,
    walked: u128,
}

impl Space {
    pub(super) fn begin_count(&mut self) -> (Job, Pending) {
        (Job::Count, Pending::disk(DiskOp::Count(self.name.clone())))
    }

    pub(super) fn counted(&mut self, usage: Usage, cx: &mut Context<'_>) -> Option<(Job, Pending)> {
        self.reserved(usage, cx.now.instant);
        self.serve(cx)
    }

    /// Answers everybody for whom there is an address of each set, and goes to look for what is lacking.
    pub(super) fn serve(&mut self, cx: &mut Context<'_>) -> Option<(Job, Pending)> {
        let demand = self.demand(cx);
        let is_open = cx.gate == Gate::Open && self.ready;
        let Some(demand) = demand.filter(|_| is_open) else {
            // Nothing but an event changes anything. Where nobody waits, that is the next request.
            let waits = !self.waiters.is_empty() || self.hint.is_some();
            self.not_before = cx.now.instant + if waits { 1_000 } else { 0 };
            if self.waiters.is_empty() {
                self.wanted.missing = 0;
                self.rounds = 0;
            }
            return None;
        };
        let windows = Windows::new(&demand.set);
        let own = self.own_window(&windows, cx);
        let start = cx.random.below(windows.count());
        let index = own.unwrap_or(start);
        let window = windows.get(index)?;
        let look = Look {
            demand,
            windows,
            window,
            start,
            walked: u128::from(own.is_none_or(|own| own == start)),
        };
        let read = window.read(&self.name);
        Some((Job::Look(look), Pending::store(read)))
    }

    /// A window in which the node holds something, unless that is all it could find there.
    fn own_window(&self, windows: &Windows, cx: &mut Context<'_>) -> Option<u128> {
        let mut held: BTreeMap<Block, u64> = BTreeMap::new();
        for grant in self.file.grants.iter().filter(|it| it.pin.is_none()) {
            *held.entry(grant.block).or_default() |= grant.span.mask();
        }
        let partly = held.iter().filter(|(_, mask)| **mask != u64::MAX);
        let own: Vec<u128> = partly
            .filter_map(|(block, _)| windows.index_of(*block))
            .collect();
        cx.random.choose(&own).copied()
    }

    fn demand(&mut self, cx: &mut Context<'_>) -> Option<Demand> {
        if !self.file.is_verified_in(&cx.config.boot) {
            return None;
        }
        let mut free: BTreeMap<Block, u64> = BTreeMap::new();
        for grant in self.file.grants.iter().filter(|it| it.pin.is_none()) {
            let used = self.usage.get(&grant.block).copied().unwrap_or(0);
            *free.entry(grant.block).or_default() |= grant.span.mask() & !used;
        }
        let mut demand: Option<Demand> = None;
        let mut served = Vec::new();
        for waiter in self.waiters.iter().filter(|it| it.request.op == Op::Claim) {
            let before = free.clone();
            let lacking = waiter.request.sets.iter().find(|set| !take(&mut free, set));
            let Some(set) = lacking else {
                served.push(waiter.ticket);
                continue;
            };
            free = before;
            match &mut demand {
                Some(demand) if demand.set == *set => demand.count += 1,
                Some(_) => {}
                None => {
                    demand = Some(Demand {
                        set: set.clone(),
                        count: 1,
                        fixed: waiter.request.grant,
                        spare: false,
                    });
                }
            }
        }
        for ticket in served {
            self.gone(ticket);
            cx.answer(ticket, Answer::Done(Vec::new()));
        }
        let hint = self.hint.take();
        let lacks = |set: &&WantedSet| available(&free, set) < LOW;
        demand.or_else(|| {
            let hint = hint?;
            Some(Demand {
                set: hint.sets.iter().find(lacks)?.clone(),
                count: 1,
                fixed: hint.grant,
                spare: true,
            })
        })
    }

    pub(super) fn looked(
        &mut self,
        look: Look,
        found: &Found,
        cx: &mut Context<'_>,
    ) -> Option<(Job, Pending)> {
        let mut view = look.window.view(&self.name, found);
        view.drop_lapsed(cx.now.wall, |node| cx.knows(node), |_| false);
        let demand = &look.demand;
        let size = demand.fixed.unwrap_or(self.size);
        let size = if demand.fixed.is_none() {
            size.max(demand.count.min(BLOCK.into()).next_power_of_two() as u8)
        } else {
            size
        };
        self.note_litter(&view, cx.now.instant);
        let is_tight = view.fullness(&look.windows).is_tight();
        self.wanted.see(&look.windows, &view);
        let node = &cx.config.node;
        let choice = view.choose(&look.windows, node, demand.count, size, cx.random);
        let choice = choice.filter(|_| !(demand.spare && is_tight));
        let Some(choice) = choice else {
            return self.look_on(look, cx);
        };
        let grant = |span| Grant {
            block: choice.block,
            span,
            epoch: view.revision,
            pin: None,
        };
        let grants: Vec<Grant> = choice.spans.into_iter().map(grant).collect();
        let seen = view.get(choice.block)?;
        let record = with(seen.record.as_ref()?, &grants, node)?;
        Some(self.begin_commit(choice.block, seen.changed, record, grants, Then::Waiters))
    }

    /// An empty record whose node died before it could remove it is removed by who sees it.
    fn note_litter(&mut self, view: &View, now: Instant) {
        let empty = view
            .records()
            .filter(|(_, seen, record)| seen.changed.is_some() && record.is_empty());
        for (block, ..) in empty {
            self.note_empty(block, now);
        }
    }

    /// The next window, until every one was read.
    fn look_on(&mut self, mut look: Look, cx: &mut Context<'_>) -> Option<(Job, Pending)> {
        let count = look.windows.count();
        if look.walked >= count.min(MOST_WINDOWS) || look.demand.spare {
            return self.nothing_found(&look.demand, cx);
        }
        let index = (look.start + look.walked) % count;
        look.walked += 1;
        look.window = look.windows.get(index)?;
        let read = look.window.read(&self.name);
        Some((Job::Look(look), Pending::store(read)))
    }

    /// Nobody has left anything: the others are asked, and the search begins anew after a while.
    fn nothing_found(&mut self, demand: &Demand, cx: &mut Context<'_>) -> Option<(Job, Pending)> {
        if !demand.spare {
            self.wanted.lacks(demand.count, &demand.set);
            self.rounds += 1;
        }
        let wait = 1_000.min(100_u64 << self.rounds.min(4));
        let jitter = cx.random.below(u128::from(wait)) as Instant;
        self.not_before = cx.now.instant + wait / 2 + jitter / 2;
        None
    }

    /// After a claim that succeeded.
    pub(super) fn grow(&mut self, now: Instant) {
        self.rounds = 0;
        if self.last_claim.is_some_and(|last| now < last + BUSY) {
            self.size = (self.size * 2).min(BLOCK);
        }
        self.last_claim = Some(now);
    }

    /// After something was idle for long.
    pub(super) fn shrink(&mut self) {
        self.size = (self.size / 2).max(FIRST_SIZE);
    }
}

/// Takes one free address of the set.
fn take(free: &mut BTreeMap<Block, u64>, set: &WantedSet) -> bool {
    let windows = Windows::new(set);
    for (block, mask) in free {
        let usable = *mask & windows.mask(*block);
        if usable != 0 {
            *mask &= !(1 << usable.trailing_zeros());
            return true;
        }
    }
    false
}

/// How many free addresses the set has.
fn available(free: &BTreeMap<Block, u64>, set: &WantedSet) -> u32 {
    let windows = Windows::new(set);
    let count = |(block, mask): (&Block, &u64)| (mask & windows.mask(*block)).count_ones();
    free.iter().map(count).sum()
}
