//! One space on one node. It does one thing at a time; requests that come meanwhile are answered by one
//! claim.

mod back;
mod claim;
mod commit;
mod go_on;
mod pending;
mod pin;
mod verify;
mod want;

use super::context::Context;
use super::idle::Holding;
use super::interface::{DiskReply, Instant, Now, StoreReply, Ticket, Usage};
use crate::SpaceName;
use crate::disk::GrantsFile;
use crate::grid::{Block, Span};
use crate::message::{Op, Request};
use crate::record::WantRecord;
use back::Back;
use claim::Look;
use commit::Commit;
use pending::Pending;
use pin::PinLook;
use std::collections::{BTreeMap, BTreeSet};
use verify::Verify;
use want::Wanted;

/// The sizes of a grant in a roomy pool.
pub(super) const FIRST_SIZE: u8 = 16;
/// For how long a request may still arrive at the store after it was sent, or arrive once more. A
/// record is not removed before it has existed for so long, but left empty: until then a claim that
/// expects it absent may be on its way, and would succeed for nobody.
pub(super) const LATE: Instant = 120_000;

/// What a space is doing. The operation that it waits for stands beside it.
#[derive(Debug)]
enum Job {
    /// Compares the grants with the store.
    Verify(Verify),
    /// Looks what is reserved, to see who can be served.
    Count,
    /// Reads a window, to claim something in it.
    Look(Look),
    /// Reads what there is of a pod's address.
    Pin(PinLook),
    /// Makes a claim: intent, swap, grants.
    Commit(Commit),
    /// Gives something of a block back.
    Back(Back),
}

/// A plugin that waits.
#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    request: Request,
    deadline: Instant,
}

/// What one operation came to.
pub(super) enum Reply {
    Store(StoreReply),
    Disk(DiskReply),
}

/// A space.
#[derive(Debug)]
pub(super) struct Space {
    name: SpaceName,
    pub(super) file: GrantsFile,
    /// Blocks that have to be looked at beside those of the file.
    pub(super) unlisted: BTreeSet<Block>,
    /// Whether the file on the disk could not be read.
    pub(super) is_damaged: bool,
    /// Whether everything was compared with the store since the last connection.
    pub(super) ready: bool,
    job: Option<(Job, Pending)>,
    usage: Usage,
    empty_since: BTreeMap<(Block, Span), Instant>,
    claimed_at: BTreeMap<(Block, Span), Instant>,
    /// Single addresses of pods that have been reserved in this run.
    occupied: BTreeSet<(Block, Span)>,
    waiters: Vec<Waiter>,
    hint: Option<Request>,
    /// What other nodes lack, and how much of each was given since they said so.
    wants: Vec<(WantRecord, u32)>,
    wanted: Wanted,
    /// The size of the next grant, and when the last one was claimed.
    size: u8,
    last_claim: Option<Instant>,
    /// When a search that found nothing may begin anew.
    not_before: Instant,
    /// Blocks in which a late request of ours may still do something, and until when.
    late: BTreeMap<Block, Instant>,
    /// Since when a record is known to exist without a gap: one that has a grant of this node, or is
    /// empty.
    there_since: BTreeMap<Block, Instant>,
    rounds: u32,
    /// Why the last store operation had no outcome.
    trouble: Option<String>,
}

impl Space {
    pub(super) fn new(name: SpaceName, file: GrantsFile) -> Self {
        Self {
            name,
            file,
            unlisted: BTreeSet::new(),
            is_damaged: false,
            ready: false,
            job: None,
            usage: Usage::new(),
            empty_since: BTreeMap::new(),
            claimed_at: BTreeMap::new(),
            occupied: BTreeSet::new(),
            waiters: Vec::new(),
            hint: None,
            wants: Vec::new(),
            wanted: Wanted::default(),
            size: FIRST_SIZE,
            last_claim: None,
            not_before: 0,
            late: BTreeMap::new(),
            there_since: BTreeMap::new(),
            rounds: 0,
            trouble: None,
        }
    }

    /// Begins what there is to do, and sends it.
    pub(super) fn advance(&mut self, cx: &mut Context<'_>) {
        self.expire(cx);
        if self.job.is_none() {
            self.job = self.next_job(cx);
        }
        if let Some((_, pending)) = &mut self.job {
            pending.send(&self.name, cx);
        }
        self.tell_wants(cx);
    }

    /// The most urgent thing.
    fn next_job(&mut self, cx: &mut Context<'_>) -> Option<(Job, Pending)> {
        let connected = cx.is_connected();
        if connected && !self.ready {
            return self.begin_verify(cx);
        }
        let may_search = cx.now.instant >= self.not_before;
        let searches = self.waiters.iter().any(|it| it.request.op == Op::Claim);
        if may_search && (searches || self.hint.is_some()) {
            return Some(self.begin_count());
        }
        if !connected {
            return None;
        }
        if may_search && let Some(job) = self.begin_pin(cx) {
            return Some(job);
        }
        self.begin_back(cx).or_else(|| self.begin_recheck(cx))
    }

    /// Everything has to be compared again, and what others were told has gone with the connection.
    pub(super) fn reconnect(&mut self) {
        self.ready = false;
        self.wanted.forget();
    }

    /// The other store was another one: what was under way there is of no account.
    pub(super) fn forget_store(&mut self) {
        let is_of_it = |(job, pending): &mut (Job, Pending)| {
            pending.is_of_store() || matches!(job, Job::Commit(commit) if commit.is_only_meant())
        };
        drop(self.job.take_if(is_of_it));
        self.file.intent = None;
        self.late.clear();
        self.there_since.clear();
    }

    pub(super) fn request(&mut self, ticket: Ticket, request: Request, cx: &mut Context<'_>) {
        if request.op == Op::Hint {
            self.hint = Some(request);
            return;
        }
        let deadline = cx.now.instant.saturating_add(request.wait);
        self.waiters.push(Waiter {
            ticket,
            request,
            deadline,
        });
        // Somebody may have made room meanwhile.
        self.not_before = self.not_before.min(cx.now.instant + 50);
    }

    pub(super) fn gone(&mut self, ticket: Ticket) {
        self.waiters.retain(|it| it.ticket != ticket);
    }

    pub(super) fn wants(&mut self, wants: Vec<WantRecord>) {
        if !self.wants.iter().map(|(want, _)| want).eq(&wants) {
            self.wants = wants.into_iter().map(|want| (want, 0)).collect();
        }
    }

    pub(super) fn reserved(&mut self, usage: Usage, now: Instant) {
        self.usage = usage;
        self.note_usage(now);
    }

    /// Keeps in mind which grants are empty, and since when.
    pub(super) fn note_usage(&mut self, now: Instant) {
        let mut empty = BTreeMap::new();
        let mut there = BTreeSet::new();
        for grant in &self.file.grants {
            let place = (grant.block, grant.span);
            there.insert(place);
            let used = self.usage.get(&grant.block).copied().unwrap_or(0);
            if used & grant.span.mask() == 0 {
                empty.insert(place, self.empty_since.get(&place).copied().unwrap_or(now));
            } else if grant.pin.is_some() {
                self.occupied.insert(place);
            }
        }
        self.empty_since = empty;
        self.occupied.retain(|place| there.contains(place));
        self.claimed_at.retain(|place, _| there.contains(place));
    }

    pub(super) fn holding(&self, now: Instant) -> Holding<'_> {
        Holding {
            grants: &self.file.grants,
            usage: &self.usage,
            empty_since: &self.empty_since,
            claimed_at: &self.claimed_at,
            now,
        }
    }

    /// The outcome of what was sent. One that comes for what is not waited for is dropped.
    pub(super) fn reply(&mut self, id: u64, reply: Reply, cx: &mut Context<'_>) {
        let Some((job, mut pending)) = self.job.take_if(|(_, pending)| pending.is(id)) else {
            return;
        };
        let again = match &reply {
            Reply::Store(StoreReply::Unknown(why)) => Some((true, why)),
            Reply::Store(StoreReply::Failed(why)) => Some((false, why)),
            Reply::Disk(DiskReply::Failed(why)) => Some((true, why)),
            _ => None,
        };
        if let Some((may_have_happened, why)) = again {
            self.trouble = Some(why.clone());
            if self.is_worth_trying(&job) {
                pending.again(may_have_happened, cx);
                self.job = Some((job, pending));
            }
            return;
        }
        if matches!(reply, Reply::Store(_)) {
            self.trouble = None;
        }
        self.job = self.go_on(job, &pending, reply, cx);
    }

    /// Reads that only somebody who waits wanted are not repeated for nobody.
    fn is_worth_trying(&self, job: &Job) -> bool {
        let is_search = matches!(job, Job::Look(_) | Job::Pin(_));
        let is_count = matches!(job, Job::Count);
        !((is_search || is_count) && self.waiters.is_empty())
    }

    /// Whether an empty record may be removed: no claim that expects it absent is on its way any more.
    pub(super) fn may_remove(&self, block: Block, now: Instant) -> bool {
        let since = self.there_since.get(&block);
        since.is_some_and(|since| since + LATE <= now)
            && self.late.get(&block).is_none_or(|until| *until <= now)
    }

    /// A record is there, and empty: it is looked at again when it may be removed.
    pub(super) fn note_empty(&mut self, block: Block, now: Instant) {
        let since = *self.there_since.entry(block).or_insert(now);
        let due = self.late.entry(block).or_default();
        *due = (*due).max(since + LATE);
    }

    /// What is not granted any more is not spoken of.
    pub(super) fn set_block(&mut self, block: Block, own: &[crate::disk::Grant]) {
        self.file.grants.retain(|it| it.block != block);
        self.file.grants.extend_from_slice(own);
        self.file.grants.sort_by_key(|it| (it.block, it.span));
    }

    pub(super) fn wake_at(&self, cx_connected: bool, idle: Instant, at: Now) -> Option<Instant> {
        let now = at.instant;
        let deadlines = self.waiters.iter().map(|it| it.deadline).min();
        if let Some((_, pending)) = &self.job {
            return [pending.wake_at(cx_connected), deadlines]
                .into_iter()
                .flatten()
                .min();
        }
        let search = (!self.waiters.is_empty() || self.hint.is_some()).then_some(self.not_before);
        // Without a connection a search is of no use before the next event.
        let search = search.filter(|at| cx_connected || *at > now);
        let holding = self.holding(now);
        let lacks =
            |(want, gave): &(WantRecord, u32)| want.missing > *gave || !want.exact.is_empty();
        let wanted = self.wants.iter().any(lacks);
        let times = [
            deadlines,
            search,
            holding.due(idle).filter(|_| cx_connected),
            holding.ripe().filter(|_| cx_connected && wanted),
            self.late.values().min().copied().filter(|_| cx_connected),
            self.pins_due(idle, at).filter(|_| cx_connected),
        ];
        times.into_iter().flatten().min()
    }
}
