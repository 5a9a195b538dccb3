//! Reservations: an address of each set, or none.

use super::daemon::{self, NoAnswer};
use super::error::ClusterError;
use super::plan::{Plan, Set, Stretch, ip_config};
use super::{LOCK_LIMIT, grants};
use crate::wiring::reservations::address::successor;
use crate::wiring::reservations::allocator::{Pool, take_next};
use crate::wiring::reservations::index;
use crate::wiring::reservations::owner::Owner;
use crate::wiring::reservations::sandbox::Sandbox;
use crate::wiring::reservations::store::{Access, Choice, Place, Store};
use crate::wiring::reservations::store_error::StoreError;
use netloom_cluster::disk::GrantsFile;
use netloom_cluster::message::{Answer, Op, Pod, Request};
use netloom_cluster::record::Keep;
use netloom_plugin::{AddRequest, CheckRequest, Context, DelRequest};
use netloom_spec::IpConfig;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// When fewer addresses are at hand, the daemon is told.
const LOW: usize = 8;

/// The addresses of one attachment.
pub(super) struct Claim {
    place: Place,
    container_id: String,
    if_name: String,
    owner: Owner,
    sandbox: Option<Sandbox>,
    /// Until when to wait for the lock.
    deadline: Instant,
}

/// What an attempt came to.
enum Attempt {
    Reserved {
        ips: Vec<IpConfig>,
        /// What was not reserved before.
        fresh: Vec<String>,
        /// The sets of which little is left.
        low: Vec<usize>,
    },
    /// Of these sets nothing is at hand.
    Lacking(Vec<usize>),
}

impl Claim {
    fn new(place: Place, id: &str, if_name: &str, network: &str, deadline: Instant) -> Self {
        Self {
            place,
            owner: Owner::of_network(id, if_name, network),
            container_id: id.to_owned(),
            if_name: if_name.to_owned(),
            sandbox: None,
            deadline,
        }
    }

    pub(super) fn of_add(place: Place, request: &AddRequest<'_>) -> Self {
        let (id, if_name) = (request.container_id.as_str(), request.if_name.as_str());
        let network = request.network().as_str();
        Self {
            sandbox: Sandbox::of_add(request.netns),
            ..Self::new(place, id, if_name, network, request.deadline(LOCK_LIMIT))
        }
    }

    pub(super) fn of_check(place: Place, request: &CheckRequest<'_>) -> Self {
        let (id, if_name) = (request.container_id.as_str(), request.if_name.as_str());
        Self::new(
            place,
            id,
            if_name,
            request.network().as_str(),
            request.deadline(LOCK_LIMIT),
        )
    }

    pub(super) fn of_del(place: Place, request: &DelRequest<'_>) -> Self {
        let (id, if_name) = (request.container_id.as_str(), request.if_name.as_str());
        Self::new(
            place,
            id,
            if_name,
            request.network().as_str(),
            request.deadline(LOCK_LIMIT),
        )
    }

    fn open(&self, access: Access) -> Result<Option<Store>, ClusterError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        Ok(Store::open(&self.place, access, left)?)
    }

    /// Reserves an address of every set, or none. Returns what is new too, for undo.
    pub(super) fn create(
        &self,
        plan: &Plan,
        context: &Context<'_>,
    ) -> Result<(Vec<IpConfig>, Vec<String>), ClusterError> {
        let end = Instant::now() + plan.wait;
        let pod = self.pod(plan);
        let mut pinned = self.pinned(plan, &pod, end)?;
        loop {
            match self.attempt(plan, &pinned, &pod, context)? {
                Attempt::Reserved { ips, fresh, low } => {
                    self.hint(plan, &low);
                    return Ok((ips, fresh));
                }
                Attempt::Lacking(lacking) => {
                    let sets: Vec<&Set> = lacking.iter().map(|at| &plan.sets[*at]).collect();
                    if Instant::now() > end {
                        return Err(ClusterError::TooLate(lacks(&sets)));
                    }
                    // A static address that is in no grant of this node has to be claimed.
                    if let Some(at) = lacking
                        .iter()
                        .find(|at| plan.sets[**at].requested.is_some())
                    {
                        let set = &plan.sets[*at];
                        pinned[*at] = self.ask(plan, Op::Pin, &[set], &pod, end)?.first().copied();
                    } else {
                        self.ask(plan, Op::Claim, &sets, &pod, end)?;
                    }
                }
            }
        }
    }

    /// For whom a kept address is.
    fn pod(&self, plan: &Plan) -> Pod {
        plan.pod.clone().unwrap_or_else(|| Pod {
            name: format!("{}/{}", self.container_id, self.if_name),
            uid: String::new(),
        })
    }

    /// The addresses that the daemon names: those that are kept.
    fn pinned(
        &self,
        plan: &Plan,
        pod: &Pod,
        end: Instant,
    ) -> Result<Vec<Option<IpAddr>>, ClusterError> {
        if plan.keep == Keep::No || self.has_all(plan)? {
            return Ok(vec![None; plan.sets.len()]);
        }
        let sets: Vec<&Set> = plan.sets.iter().collect();
        let addresses = self.ask(plan, Op::Pin, &sets, pod, end)?;
        Ok(addresses.into_iter().map(Some).collect())
    }

    /// Whether the attachment has an address of each set already.
    fn has_all(&self, plan: &Plan) -> Result<bool, ClusterError> {
        let Some(mut store) = self.open(Access::Read)? else {
            return Ok(false);
        };
        let held = store.held_by(&self.owner)?;
        let held: Vec<IpAddr> = held.iter().filter_map(|it| it.parse().ok()).collect();
        let has_one = |set: &Set| held.iter().any(|it| set.ranges.contains(*it));
        Ok(plan.sets.iter().all(has_one))
    }

    fn ask(
        &self,
        plan: &Plan,
        op: Op,
        sets: &[&Set],
        pod: &Pod,
        end: Instant,
    ) -> Result<Vec<IpAddr>, ClusterError> {
        let what = || lacks(sets);
        let left = end.saturating_duration_since(Instant::now());
        let mut request = request(plan, op, sets);
        request.wait = left.as_millis() as u64;
        if op == Op::Pin {
            request.pod = Some(pod.clone());
            request.keep = plan.keep;
        }
        match daemon::ask(&request, left) {
            Ok(Answer::Done(addresses)) if op != Op::Pin || addresses.len() == sets.len() => {
                Ok(addresses)
            }
            Ok(Answer::Done(addresses)) => Err(ClusterError::BadAnswer {
                what: what(),
                cause: format!("{} addresses for {} sets", addresses.len(), sets.len()),
            }),
            Ok(Answer::Refused(refusal)) => Err(ClusterError::Refused {
                code: refusal.code,
                msg: refusal.msg,
            }),
            Err(NoAnswer::Silence(cause)) => Err(ClusterError::NoDaemon {
                what: what(),
                cause,
            }),
            Err(NoAnswer::Nonsense(cause)) => Err(ClusterError::BadAnswer {
                what: what(),
                cause,
            }),
        }
    }

    fn hint(&self, plan: &Plan, low: &[usize]) {
        if !low.is_empty() {
            let sets: Vec<&Set> = low.iter().map(|at| &plan.sets[*at]).collect();
            daemon::tell(&request(plan, Op::Hint, &sets));
        }
    }

    /// Once, under the lock.
    fn attempt(
        &self,
        plan: &Plan,
        pinned: &[Option<IpAddr>],
        pod: &Pod,
        context: &Context<'_>,
    ) -> Result<Attempt, ClusterError> {
        let all = || (0..plan.sets.len()).collect();
        let Some(mut store) = self.open(Access::Reserve)? else {
            return Ok(Attempt::Lacking(all()));
        };
        store.sandbox.clone_from(&self.sandbox);
        let boot = index::boot_id().unwrap_or_default();
        reclaim_once(&mut store, &boot, context);
        let file = grants::read(&self.place)?;
        let Some(file) = file.filter(|file| file.is_verified_in(&boot)) else {
            finish(store, context);
            return Ok(Attempt::Lacking(all()));
        };
        let mut turn = Turn {
            claim: self,
            file: &file,
            pod: &pod.name,
            store: &mut store,
            ips: Vec::new(),
            fresh: Vec::new(),
            low: Vec::new(),
        };
        let outcome = turn.take_all(plan, pinned);
        let Turn {
            ips, fresh, low, ..
        } = turn;
        let is_whole = matches!(&outcome, Ok(lacking) if lacking.is_empty());
        if !is_whole {
            // The first error is the one to report; what could not be removed is for DEL.
            let released = store.release_names(&self.owner, &fresh);
            for error in released.err().into_iter().flatten() {
                context.warn(&error.to_string());
            }
        }
        finish(store, context);
        Ok(match outcome? {
            lacking if lacking.is_empty() => Attempt::Reserved { ips, fresh, low },
            lacking => Attempt::Lacking(lacking),
        })
    }

    /// Releases what [`Claim::create`] reserved.
    pub(super) fn remove(self, names: &[String]) -> Result<(), ClusterError> {
        let Some(mut store) = self.open(Access::Release)? else {
            return Ok(());
        };
        let outcome = store.release_names(&self.owner, names);
        drop(store.finish());
        outcome.map_err(ClusterError::Stores)
    }

    /// DEL: releases all that the attachment has.
    pub(super) fn release(
        &self,
        _network: &str,
        context: &Context<'_>,
    ) -> Result<(), ClusterError> {
        let Some(mut store) = self.open(Access::Release)? else {
            return Ok(());
        };
        let outcome = store.release(&self.owner, |_| true);
        finish(store, context);
        outcome.map(drop).map_err(ClusterError::Stores)
    }

    /// Checks that every expected address is reserved for the attachment and granted to this node, or
    /// anything at all is reserved if none is expected.
    pub(super) fn check(&self, expected: &[IpAddr]) -> Result<(), ClusterError> {
        let (container_id, if_name) = (self.container_id.clone(), self.if_name.clone());
        let nothing = || ClusterError::NothingReserved {
            container_id: container_id.clone(),
            if_name: if_name.clone(),
        };
        let mut store = self.open(Access::Read)?.ok_or_else(nothing)?;
        if expected.is_empty() && store.held_by(&self.owner)?.is_empty() {
            return Err(nothing());
        }
        let file = grants::read(&self.place)?.unwrap_or_default();
        for address in expected {
            let holder = store.holder(*address)?;
            if holder.as_ref() != Some(&self.owner) {
                return Err(ClusterError::NotReserved {
                    address: *address,
                    container_id,
                    if_name,
                    holder: holder.map_or_else(|| "nobody".to_owned(), |it| it.to_string()),
                });
            }
            if !grants::holds(&file, *address) {
                return Err(ClusterError::NotGranted(*address));
            }
        }
        Ok(())
    }
}

/// One attempt, as far as it has come.
struct Turn<'t> {
    claim: &'t Claim,
    file: &'t GrantsFile,
    pod: &'t str,
    store: &'t mut Store,
    ips: Vec<IpConfig>,
    fresh: Vec<String>,
    low: Vec<usize>,
}

impl Turn<'_> {
    /// Takes an address of each set; returns those of which there is none.
    fn take_all(
        &mut self,
        plan: &Plan,
        pinned: &[Option<IpAddr>],
    ) -> Result<Vec<usize>, ClusterError> {
        let held = self.store.held_by(&self.claim.owner)?;
        let held: Vec<IpAddr> = held.iter().filter_map(|it| it.parse().ok()).collect();
        let mut lacking = Vec::new();
        for (at, set) in plan.sets.iter().enumerate() {
            // An ADD that is called again gets what it got.
            let has = |it: &&IpAddr| {
                set.ranges.contains(**it) && set.requested.is_none_or(|wanted| wanted == **it)
            };
            if let Some(address) = held.iter().find(has) {
                self.push(*address, set);
                continue;
            }
            let taken = match pinned[at].or(set.requested) {
                Some(address) => self.take_certain(address, set)?,
                None => self.take_any(at, set)?,
            };
            if !taken {
                lacking.push(at);
            }
        }
        Ok(lacking)
    }

    fn push(&mut self, address: IpAddr, set: &Set) {
        self.ips.extend(
            set.ranges
                .range_of(address)
                .map(|range| ip_config(address, range)),
        );
    }

    fn take_certain(&mut self, address: IpAddr, set: &Set) -> Result<bool, ClusterError> {
        if !grants::may_give(self.file, address, Some(self.pod)) {
            return Ok(false);
        }
        if self
            .store
            .reserve(address, &self.claim.owner, Choice::Requested)?
        {
            self.fresh.push(address.to_string());
            self.push(address, set);
            return Ok(true);
        }
        let holder = self.store.holder(address)?;
        Err(ClusterError::Taken {
            set: set.ranges.to_string(),
            address,
            holder: holder.map_or_else(|| "nobody".to_owned(), |it| it.to_string()),
        })
    }

    fn take_any(&mut self, at: usize, set: &Set) -> Result<bool, ClusterError> {
        let stretches = grants::of_set(self.file, set);
        let last = self.store.last_reserved(at);
        let owner = &self.claim.owner;
        let mut address = None;
        // The index may not know yet what was freed.
        for look in 0..2 {
            let mut pool = Granted {
                store: self.store,
                stretches: &stretches,
                owner,
            };
            address = take_next(&set.ranges, last, &mut pool)?.map(|(address, _)| address);
            if address.is_some() || look == 1 || stretches.is_empty() || !self.store.look_again()? {
                break;
            }
        }
        let Some(address) = address else {
            return Ok(false);
        };
        self.fresh.push(address.to_string());
        self.push(address, set);
        // A hint, and not worth failing for.
        let _ = self.store.set_last_reserved(at, address);
        if is_low(self.store, &stretches) {
            self.low.push(at);
        }
        Ok(true)
    }
}

/// What is granted, as a pool.
struct Granted<'s> {
    store: &'s mut Store,
    stretches: &'s [Stretch],
    owner: &'s Owner,
}

impl Pool for Granted<'_> {
    type Error = StoreError;

    fn first_free(&mut self, from: IpAddr, to: IpAddr) -> Option<IpAddr> {
        let inside = self
            .stretches
            .iter()
            .filter(|(start, end)| *end >= from && *start <= to);
        for (start, end) in inside {
            if let Some(address) = self.store.first_free(from.max(*start), to.min(*end)) {
                return Some(address);
            }
        }
        None
    }

    fn take(&mut self, address: IpAddr) -> Result<bool, StoreError> {
        self.store.reserve(address, self.owner, Choice::Ours)
    }
}

fn is_low(store: &mut Store, stretches: &[Stretch]) -> bool {
    let mut free = 0;
    for (start, end) in stretches {
        let mut from = Some(*start);
        while let Some(address) = from
            .filter(|it| it <= end)
            .and_then(|it| store.first_free(it, *end))
        {
            free += 1;
            if free >= LOW {
                return false;
            }
            from = successor(address);
        }
    }
    true
}

fn request(plan: &Plan, op: Op, sets: &[&Set]) -> Request {
    let sets = sets.iter().map(|set| set.wanted()).collect();
    let mut request = Request::new(op, plan.space.clone(), sets);
    request.grant = plan.grant;
    request
}

fn lacks(sets: &[&Set]) -> String {
    let names: Vec<String> = sets.iter().map(|set| set.ranges.to_string()).collect();
    format!("no address free in {} on this node", names.join(" and "))
}

/// No pod of an earlier run of the kernel lives.
fn reclaim_once(store: &mut Store, boot: &str, context: &Context<'_>) {
    match store.reclaim_once(boot) {
        Ok(names) if names.is_empty() => {}
        Ok(names) => context.warn(&format!("reclaimed after a reboot: {}", names.join(", "))),
        Err(errors) => context.warn(&ClusterError::Stores(errors).to_string()),
    }
}

/// Trouble with the index is no error of the call, but somebody should know why it is slow.
fn finish(store: Store, context: &Context<'_>) {
    if let Some(trouble) = store.finish() {
        context.warn(&format!("{trouble}; the owner index is not used"));
    }
}

/// STATUS: an address of each set is at hand, or a daemon is there to be asked.
pub(super) fn require_any(plan: &Plan) -> Result<(), ClusterError> {
    if daemon::is_there() {
        return Ok(());
    }
    let place = super::place(plan.space.clone());
    let boot = index::boot_id().unwrap_or_default();
    let file = grants::read(&place)?.filter(|file| file.is_verified_in(&boot));
    let Some(file) = file else {
        return Err(ClusterError::Unverified(plan.space.to_string()));
    };
    let Some(mut store) = Store::open(&place, Access::Read, Duration::from_secs(5))? else {
        return Ok(());
    };
    for set in &plan.sets {
        let stretches = grants::of_set(&file, set);
        let mut any_free = stretches
            .iter()
            .map(|(start, end)| store.first_free(*start, *end));
        if !any_free.any(|it| it.is_some()) {
            return Err(ClusterError::Unavailable(set.ranges.to_string()));
        }
    }
    Ok(())
}
