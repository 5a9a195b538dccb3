//! What a node lacks: what it tells the others, and what it tells those that wait.

use super::super::context::{Context, Gate, Owner};
use super::super::interface::StoreOp;
use super::super::window::{Fullness, View, Windows};
use super::Space;
use crate::message::{Answer, Op, Request, WantedRange, WantedSet};
use crate::record::WantRecord;
use crate::{NodeName, key};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What is lacking, and what was seen on the search.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) missing: u32,
    /// Where the missing ones have to be.
    ranges: Vec<WantedRange>,
    pub(super) exact: BTreeSet<IpAddr>,
    /// What the others were told last.
    told: Option<WantRecord>,
    windows: Option<Windows>,
    fullness: Fullness,
    holders: Vec<(NodeName, u32)>,
}

impl Wanted {
    /// Keeps in mind how full the pool is and who has it.
    pub(super) fn see(&mut self, windows: &Windows, view: &View) {
        self.fullness = view.fullness(windows);
        self.holders = view.holders(windows);
        self.holders.truncate(3);
        self.windows = Some(windows.clone());
    }

    /// So many were found nowhere in the ranges of the set.
    pub(super) fn lacks(&mut self, count: u32, set: &WantedSet) {
        self.missing = count;
        self.ranges.clone_from(&set.ranges);
    }

    /// What others are told.
    pub(super) fn record(&self) -> WantRecord {
        let mut record = WantRecord::new(self.missing);
        if self.missing > 0 {
            record = record.within(&self.ranges);
        }
        record.exact.clone_from(&self.exact);
        record
    }

    /// The store forgets it with the connection.
    pub(super) fn forget(&mut self) {
        self.told = None;
    }
}

impl Space {
    /// Tells the others what is lacking, when that has changed.
    pub(super) fn tell_wants(&mut self, cx: &mut Context<'_>) {
        if !cx.is_connected() {
            return;
        }
        if self.waiters.is_empty() {
            self.wanted.missing = 0;
            self.wanted.exact.clear();
        }
        let record = Some(self.wanted.record()).filter(|it| !it.is_empty());
        if record == self.wanted.told {
            return;
        }
        let op = StoreOp::Leased {
            key: key::want(&self.name, &cx.config.node),
            value: record.as_ref().map(WantRecord::to_json),
        };
        cx.operations.store(Owner::Nobody, op, cx.out);
        self.wanted.told = record;
    }

    /// Answers those that have waited long enough.
    pub(super) fn expire(&mut self, cx: &mut Context<'_>) {
        let now = cx.now.instant;
        let late: Vec<_> = (self.waiters.iter())
            .filter(|it| it.deadline <= now)
            .map(|it| (it.ticket, self.reason(&it.request, cx)))
            .collect();
        for (ticket, reason) in late {
            self.gone(ticket);
            cx.answer(ticket, Answer::later(reason));
        }
    }

    /// Why a request could not be served.
    fn reason(&self, request: &Request, cx: &Context<'_>) -> String {
        let pool = describe(request);
        let what = if request.op == Op::Pin {
            format!("no address for the pod in {pool}")
        } else {
            format!("no address free in {pool} on this node")
        };
        let trouble = self
            .trouble
            .as_deref()
            .map(|it| format!(": {it}"))
            .unwrap_or_default();
        match &cx.gate {
            Gate::Away => format!("{what}, and the cluster's store does not answer{trouble}"),
            _ if !self.ready => format!(
                "{what}, and the node's grants are not yet compared with the cluster's store{trouble}"
            ),
            Gate::Waiting(nodes) => {
                let names: Vec<&str> = nodes.iter().take(3).map(NodeName::as_str).collect();
                let more = if nodes.len() > 3 { ", …" } else { "" };
                format!(
                    "{what}, and the store is new or was wiped: nothing is claimed before nodes {}{more} \
                     have told it what they hold",
                    names.join(", ")
                )
            }
            Gate::Open => format!("{what}{}{trouble}", self.full(request)),
        }
    }

    /// How full the pool was seen to be, and who has most of it.
    fn full(&self, request: &Request) -> String {
        let is_seen = |set| self.wanted.windows.as_ref() == Some(&Windows::new(set));
        if !request.sets.iter().any(is_seen) {
            return String::new();
        }
        let Fullness { taken, all } = self.wanted.fullness;
        let holders: Vec<String> = (self.wanted.holders.iter())
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        format!(
            ": {taken} of {all} are granted, most to {}; the nodes gave none back",
            holders.join(", ")
        )
    }
}

fn describe(request: &Request) -> String {
    let ranges = request.sets.iter().flat_map(|set| &set.ranges);
    let mut texts: Vec<String> = ranges
        .take(3)
        .map(|it| format!("{}-{}", it.start, it.end))
        .collect();
    let count: usize = request.sets.iter().map(|set| set.ranges.len()).sum();
    if count > texts.len() {
        texts.push("…".to_owned());
    }
    texts.join(", ")
}
