//! Requests for a certain address, or for the one that is kept for a pod.

use super::super::context::{Context, Gate};
use super::super::interface::{Found, Ticket};
use super::super::random::hash;
use super::super::settle::entry_of;
use super::super::window::{Seen, View, Window, Windows};
use super::Job;
use super::commit::Then;
use super::pending::Pending;
use super::want::Wanted;
use super::{Space, Waiter};
use crate::disk::Grant;
use crate::grid::{Block, Span};
use crate::message::{Answer, Op, Pod, Request, WantedSet};
use crate::record::{BlockRecord, Entry, Keep, Pin, PinState};
use std::net::IpAddr;

/// How many windows may hold what is kept for a pod. All nodes look there in the same order.
const PROBES: u128 = 3;

/// A look at a window for one set of a request.
#[derive(Debug)]
pub(super) struct PinLook {
    ticket: Ticket,
    /// The addresses of the sets before.
    done: Vec<IpAddr>,
    /// The first, second or third window.
    probe: u128,
    /// Which window is read.
    window: Window,
}

/// What can be done with an address.
enum Verdict {
    /// The record becomes this one, and the node has the address.
    Take(Box<(Block, BlockRecord, Grant)>),
    /// It is the pod's and this node's already.
    Has(IpAddr),
    /// It is in a grant of which it can be given back.
    Ask(IpAddr),
    Refuse(String),
    Nothing,
}

impl Wanted {
    /// How many addresses pods wait for that could be any.
    pub(super) fn pins_missing<'r>(&self, waiting: impl Iterator<Item = &'r Request>) -> u32 {
        if self.missing == 0 {
            return 0;
        }
        waiting.filter(|it| it.op == Op::Pin).count() as u32
    }
}

impl Space {
    pub(super) fn begin_pin(&mut self, cx: &mut Context<'_>) -> Option<(Job, Pending)> {
        if cx.gate != Gate::Open || !self.ready {
            return None;
        }
        let waiter = self.waiters.iter().find(|it| it.request.op == Op::Pin)?;
        let ticket = waiter.ticket;
        self.pin_look(ticket, Vec::new(), 0)
    }

    fn waiter(&self, ticket: Ticket) -> Option<&Waiter> {
        self.waiters.iter().find(|it| it.ticket == ticket)
    }

    fn pin_look(
        &mut self,
        ticket: Ticket,
        done: Vec<IpAddr>,
        probe: u128,
    ) -> Option<(Job, Pending)> {
        let request = &self.waiter(ticket)?.request;
        let set = request.sets.get(done.len())?;
        let window = match set.address {
            Some(address) => Window::of(Block::of(address)),
            None => {
                let windows = Windows::new(set);
                let index = (self.home(request)? + probe) % windows.count();
                windows.get(index)?
            }
        };
        let look = PinLook {
            ticket,
            done,
            probe,
            window,
        };
        Some((Job::Pin(look), Pending::store(window.read(&self.name))))
    }

    /// Where a pod's address is looked for first.
    fn home(&self, request: &Request) -> Option<u128> {
        let pod = request.pod.as_ref()?;
        Some(u128::from(hash(&format!("{}/{}", self.name, pod.name))))
    }

    pub(super) fn pin_looked(
        &mut self,
        look: PinLook,
        found: &Found,
        cx: &mut Context<'_>,
    ) -> Option<(Job, Pending)> {
        let request = self.waiter(look.ticket)?.request.clone();
        let set = request.sets.get(look.done.len())?;
        let mut view = look.window.view(&self.name, found);
        // The pod's own comes back to it, however late.
        let pod = request.pod.as_ref().map(|it| it.name.clone());
        let is_own = |entry: &Entry| entry.pin.as_ref().map(|it| &it.pod) == pod.as_ref();
        view.drop_lapsed(cx.now.wall, |node| cx.knows(node), is_own);
        let windows = Windows::new(set);
        self.wanted.see(&windows, &view);
        let verdict = match set.address {
            Some(address) => self.judge(&request, address, &view, cx),
            None => match self.kept(&request, set, &view, cx) {
                Verdict::Nothing if look.probe + 1 < PROBES.min(windows.count()) => {
                    return self.pin_look(look.ticket, look.done, look.probe + 1);
                }
                Verdict::Nothing => self.any(&request, set, &view, cx),
                verdict => verdict,
            },
        };
        match verdict {
            Verdict::Take(take) => {
                let (block, record, grant) = *take;
                let changed = view.get(block)?.changed;
                let then = Then::Pin {
                    ticket: look.ticket,
                    done: look.done,
                };
                Some(self.begin_commit(block, changed, record, vec![grant], then))
            }
            Verdict::Has(address) => self.pin_done(look.ticket, look.done, address, cx),
            Verdict::Ask(address) => {
                self.wanted.exact.insert(address);
                self.pin_later(&look, cx);
                None
            }
            Verdict::Refuse(reason) => {
                self.gone(look.ticket);
                cx.answer(look.ticket, Answer::later(reason));
                None
            }
            Verdict::Nothing => {
                self.wanted.lacks(self.wanted.missing.max(1), set);
                self.pin_later(&look, cx);
                None
            }
        }
    }

    /// The next set, or the answer.
    pub(super) fn pin_done(
        &mut self,
        ticket: Ticket,
        mut done: Vec<IpAddr>,
        address: IpAddr,
        cx: &mut Context<'_>,
    ) -> Option<(Job, Pending)> {
        self.rounds = 0;
        done.push(address);
        self.wanted.exact.remove(&address);
        let count = self.waiter(ticket)?.request.sets.len();
        if done.len() < count {
            return self.pin_look(ticket, done, 0);
        }
        self.gone(ticket);
        cx.answer(ticket, Answer::Done(done));
        None
    }

    fn pin_later(&mut self, look: &PinLook, cx: &mut Context<'_>) {
        self.rounds += 1;
        let wait = 1_000.min(100_u64 << self.rounds.min(4));
        let jitter = cx.random.below(u128::from(wait)) as u64;
        self.not_before = cx.now.instant + wait / 2 + jitter / 2;
        self.put_last(look.ticket);
    }

    /// Lets the others have their turn.
    pub(super) fn put_last(&mut self, ticket: Ticket) {
        if let Some(at) = self.waiters.iter().position(|it| it.ticket == ticket) {
            let waiter = self.waiters.remove(at);
            self.waiters.push(waiter);
        }
    }

    /// What is to be said of one address.
    fn judge(&self, request: &Request, address: IpAddr, view: &View, cx: &Context<'_>) -> Verdict {
        let (Some(pod), block) = (&request.pod, Block::of(address)) else {
            return Verdict::Nothing;
        };
        let Some(at) = block.place(address) else {
            return Verdict::Nothing;
        };
        let Some(Seen {
            record: Some(record),
            ..
        }) = view.get(block)
        else {
            return Verdict::Refuse(format!(
                "{address} cannot be claimed: the record of its block cannot be understood"
            ));
        };
        let span = Span::single(at);
        let holder = record
            .entries()
            .iter()
            .find(|it| it.span.mask() & span.mask() != 0);
        match holder {
            None => self.take(block, span, record, request, pod, view, cx),
            Some(entry) => match &entry.pin {
                Some(pin) => self.judge_pin(block, entry, pin, record, request, pod, view, cx),
                None => Verdict::Ask(address),
            },
        }
    }

    /// What is to be said of a pod's address.
    #[expect(
        clippy::too_many_arguments,
        reason = "a record, its entry and its pin belong together"
    )]
    fn judge_pin(
        &self,
        block: Block,
        entry: &Entry,
        pin: &Pin,
        record: &BlockRecord,
        request: &Request,
        pod: &Pod,
        view: &View,
        cx: &Context<'_>,
    ) -> Verdict {
        let address = block.address(entry.span.at());
        let is_here = entry.node == cx.config.node;
        let used = self.usage.get(&block).copied().unwrap_or(0);
        let is_reserved = is_here && used & entry.span.mask() != 0;
        let has = || format!("{address} is pod {}'s on node {}", pin.pod, entry.node);
        if pin.pod != pod.name {
            let state = match pin.state {
                PinState::Used => "",
                PinState::Kept => ", for which it is kept",
            };
            return Verdict::Refuse(format!("{}{state}", has()));
        }
        let is_free = pin.state == PinState::Kept || is_here && !is_reserved;
        if !is_free && is_here {
            return Verdict::Refuse(format!(
                "{}, and its earlier container is not deleted yet",
                has()
            ));
        }
        if !is_free {
            return Verdict::Refuse(format!(
                "{}, which has not deleted it: delete the pod there, or remove the node if it is gone",
                has()
            ));
        }
        let is_listed = (self.file.grants.iter())
            .any(|it| it.block == block && it.span == entry.span && it.epoch == entry.epoch);
        if is_here && is_listed && pin.state == PinState::Used && pin.uid == pod.uid {
            return Verdict::Has(address);
        }
        let mut rest = record.clone();
        rest.retain(|it| it.span != entry.span);
        self.take(block, entry.span, &rest, request, pod, view, cx)
    }

    #[expect(clippy::too_many_arguments, reason = "what a new entry is made of")]
    fn take(
        &self,
        block: Block,
        span: Span,
        record: &BlockRecord,
        request: &Request,
        pod: &Pod,
        view: &View,
        cx: &Context<'_>,
    ) -> Verdict {
        let grant = Grant {
            block,
            span,
            epoch: view.revision,
            pin: Some(Pin {
                pod: pod.name.clone(),
                uid: pod.uid.clone(),
                state: PinState::Used,
                keep: request.keep,
                until: None,
            }),
        };
        let mut record = record.clone();
        if record.add(entry_of(&grant, &cx.config.node)) {
            Verdict::Take(Box::new((block, record, grant)))
        } else {
            Verdict::Nothing
        }
    }

    /// What was kept for the pod, or is its own already.
    fn kept(&self, request: &Request, set: &WantedSet, view: &View, cx: &Context<'_>) -> Verdict {
        let Some(pod) = request.pod.as_ref().filter(|_| request.keep != Keep::No) else {
            return Verdict::Nothing;
        };
        let windows = Windows::new(set);
        for (block, _, record) in view.records() {
            let mask = windows.mask(block);
            let own = record.entries().iter().find(|it| {
                it.span.mask() & mask != 0 && it.pin.as_ref().is_some_and(|pin| pin.pod == pod.name)
            });
            if let Some(entry) = own {
                return self.judge(request, block.address(entry.span.at()), view, cx);
            }
        }
        Verdict::Nothing
    }

    /// Any free address, in the window that was read last.
    fn any(&self, request: &Request, set: &WantedSet, view: &View, cx: &Context<'_>) -> Verdict {
        let windows = Windows::new(set);
        let start = set.ranges.first().map(|range| Block::of(range.start));
        match start.and_then(|start| view.first_free(&windows, start)) {
            Some(address) => self.judge(request, address, view, cx),
            None => Verdict::Nothing,
        }
    }
}
