//! host-local: addresses from ranges in the configuration, unique on this host.
//!
//! It makes no kernel objects, only files (`wiring/reservations/store.rs`): one for each reserved
//! address. The file holds container id and interface name of the attachment that has the address.
//! Files and lock are the reference's, so both can serve the same network. The index beside the files
//! is a cache (`index.rs` there).
//!
//! Every operation is done under one lock, so an ADD with several range sets gets an address from
//! each or none at all.

mod config;
mod damage;
mod error;
mod foresee;
mod forgotten;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod orphans;
mod release;

use crate::wiring::reservations::allocator::{Pool, take_next};
use crate::wiring::reservations::owner::Owner;
use crate::wiring::reservations::ranges::{Range, RangeSet};
use crate::wiring::reservations::sandbox::Sandbox;
use crate::wiring::reservations::store::{Access, Choice, Place, Store};
use crate::wiring::reservations::store_error::StoreError;
use crate::wiring::reservations::{index, resolv_conf};
use crate::wiring::state_file;
use config::{Plan, place};
use error::HostLocalError;
use ipnet::IpNet;
use netloom_plugin::forecast::Forecast;
use netloom_plugin::host::{self, Forgotten};
use netloom_plugin::{
    AddRequest, AddResult, CheckRequest, Cleanup, Context, DelRequest, Error, GcRequest, Needs,
    Owned, Plugin, StatusRequest, Undo, Version,
};
use netloom_spec::{Dns, IpConfig, NetworkName, PluginConf};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long to wait for the lock. An operation takes milliseconds, and a runtime gives up on a
/// plugin after minutes.
const LOCK_LIMIT: Duration = Duration::from_secs(30);

/// The plugin host-local.
#[derive(Debug)]
pub struct HostLocal;

impl Plugin for HostLocal {
    fn name(&self) -> &'static str {
        "host-local"
    }

    fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
        let version = conf.version()?;
        match conf.capabilities().get("ipRanges") {
            // The runtime may give the ranges with each ADD.
            Some(true) => drop(Plan::without_attachment(conf, version)?),
            _ => drop(Plan::new(conf, version, "")?),
        }
        Ok(Needs::default())
    }

    fn add<'r>(
        &self,
        request: &'r AddRequest<'r>,
        undo: &mut Undo<'r>,
    ) -> Result<AddResult, Error> {
        let plan = Plan::new(request.conf, request.version(), request.args)?;
        let dns = plan
            .resolv_conf
            .as_deref()
            .map_or(Ok(Dns::default()), read_resolv_conf)?;
        let claim = Claim::new(
            place(request.conf, request.network()),
            request.container_id.as_str(),
            request.if_name.as_str(),
            request.deadline(LOCK_LIMIT),
        );
        let ips = claim.create(&plan, request, Sandbox::of_add(request.netns))?;
        let names = ips.iter().map(|ip| ip.address.addr().to_string()).collect();
        undo.on_failure("release the reserved addresses", move || {
            claim.remove(names)
        });
        Ok(AddResult {
            ips,
            routes: plan.routes,
            dns,
            ..AddResult::default()
        })
    }

    fn check(&self, request: &CheckRequest<'_>) -> Result<(), Error> {
        let plan = Plan::new(request.conf, request.version(), "")?;
        let claim = Claim::new(
            place(request.conf, request.network()),
            request.container_id.as_str(),
            request.if_name.as_str(),
            request.deadline(LOCK_LIMIT),
        );
        let previous = request.conf.prev_result()?.unwrap_or_default();
        let expected: Vec<IpAddr> = (previous.ips.iter())
            .map(|ip| ip.address.addr().to_canonical())
            .filter(|address| plan.sets.iter().any(|set| set.contains(*address)))
            .collect();
        Ok(claim.check(&expected)?)
    }

    /// Reads only the network's name and `dataDir`: it must be possible to remove a pod whose
    /// configuration is faulty by now. `CNI_ARGS` do not say what was reserved.
    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        let place = place(request.conf, request.network());
        let (id, if_name) = (request.container_id.as_str(), request.if_name.as_str());
        let deadline = request.deadline(LOCK_LIMIT);
        let Some(mut store) = open(&place, Access::Release, deadline)? else {
            return Ok(());
        };
        let own = Owner::attachment(id, if_name);
        let released = match release::reservations(&mut store, &place, &own, request) {
            // Very old versions of the reference did not write the interface.
            Ok(false) => release::reservations(&mut store, &place, &Owner::container(id), request),
            outcome => outcome,
        };
        let damaged = damage::release(&mut store, &place, request);
        finish(store, |trouble| request.warn(trouble));
        released
            .and(damaged)
            .map_err(|errors| HostLocalError::Stores(errors).into())
    }

    fn gc(&self, request: &GcRequest<'_>) -> Result<(), Error> {
        if request.valid.is_none() {
            request.warn("GC without cni.dev/valid-attachments, nothing is removed");
        }
        let mut cleanup = Cleanup::new();
        request.collect(self.owned(), &mut cleanup);
        cleanup.finish()
    }

    fn owned(&self) -> &'static [Owned] {
        &[orphans::OWNED]
    }

    /// Those that are reserved. A very old version of the reference wrote no interface: such a
    /// reservation counts as that of the container's `eth0`.
    fn claims(
        &self,
        conf: &PluginConf,
        network: &NetworkName,
    ) -> Result<Vec<host::ClaimedAddress>, Error> {
        orphans::claims(conf, network)
    }

    fn pools(
        &self,
        conf: &PluginConf,
        network: &NetworkName,
        version: Version,
    ) -> Result<Vec<host::Pool>, Error> {
        orphans::pools(conf, network, version)
    }

    fn forgotten(
        &self,
        is_known: &dyn Fn(&str) -> bool,
        living: &[&str],
    ) -> Result<Vec<Forgotten>, Error> {
        forgotten::forgotten(is_known, living)
    }

    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        let Some(plan) = Plan::without_attachment(request.conf, request.version())? else {
            // The ranges come with each ADD.
            return Ok(());
        };
        let place = place(request.conf, request.network());
        Ok(require_free(&plan.sets, &place)?)
    }

    fn describe(&self, forecast: &mut Forecast<'_>) -> Result<(), Error> {
        foresee::describe(forecast)
    }

    plan_door!(|conf, args| Plan::new(conf, conf.version()?, args));
}

/// The addresses of one attachment.
struct Claim {
    place: Place,
    container_id: String,
    if_name: String,
    owner: Owner,
    /// Until when to wait for the lock.
    deadline: Instant,
}

impl Claim {
    fn new(place: Place, container_id: &str, if_name: &str, deadline: Instant) -> Self {
        let owner = Owner::attachment(container_id, if_name);
        Self {
            place,
            container_id: container_id.to_owned(),
            if_name: if_name.to_owned(),
            owner,
            deadline,
        }
    }

    /// Reserves an address of every set, or none.
    fn create(
        &self,
        plan: &Plan,
        context: &Context<'_>,
        sandbox: Option<Sandbox>,
    ) -> Result<Vec<IpConfig>, HostLocalError> {
        // There is always a store: `Reserve` makes the directories.
        let Some(mut store) = open(&self.place, Access::Reserve, self.deadline)? else {
            return Ok(Vec::new());
        };
        store.sandbox = sandbox;
        if plan.reclaim_after_reboot {
            reclaim_once(&mut store, context);
        }
        let mut reserved = Vec::new();
        let outcome = self.reserve_all(plan, context, &mut store, &mut reserved);
        if outcome.is_err() {
            let names: Vec<String> = reserved
                .iter()
                .map(|ip| ip.address.addr().to_string())
                .collect();
            // The first error is the one to report; what could not be removed is for DEL.
            for error in store
                .release_names(&self.owner, &names)
                .err()
                .into_iter()
                .flatten()
            {
                context.warn(&error.to_string());
            }
        }
        finish(store, |trouble| context.warn(trouble));
        outcome.map(|()| reserved)
    }

    fn reserve_all(
        &self,
        plan: &Plan,
        context: &Context<'_>,
        store: &mut Store,
        reserved: &mut Vec<IpConfig>,
    ) -> Result<(), HostLocalError> {
        for (index, (set, requested)) in plan.sets.iter().zip(&plan.requested).enumerate() {
            let (address, range) = match requested {
                Some(address) => self.reserve_requested(index, set, *address, store)?,
                None => self.reserve_next(index, set, store)?,
            };
            reserved.push(ip_config(address, range));
            // It only says where the next search begins, so a failure is no error.
            if let Err(error) = store.set_last_reserved(index, address) {
                context.warn(&error.to_string());
            }
        }
        Ok(())
    }

    fn reserve_requested<'s>(
        &self,
        index: usize,
        set: &'s RangeSet,
        address: IpAddr,
        store: &mut Store,
    ) -> Result<(IpAddr, &'s Range), HostLocalError> {
        let reserved = store.reserve(address, &self.owner, Choice::Requested)?;
        match set.range_of(address) {
            Some(range) if reserved => Ok((address, range)),
            _ => Err(HostLocalError::RequestedTaken {
                index,
                address,
                set: set.to_string(),
                holder: holder(store, address)?,
            }),
        }
    }

    fn reserve_next<'s>(
        &self,
        index: usize,
        set: &'s RangeSet,
        store: &mut Store,
    ) -> Result<(IpAddr, &'s Range), HostLocalError> {
        self.refuse_duplicate(index, set, store)?;
        let last = store.last_reserved(index);
        find(set, last, store, |store, address| {
            store.reserve(address, &self.owner, Choice::Ours)
        })?
        .ok_or_else(|| HostLocalError::Exhausted {
            index,
            set: set.to_string(),
        })
    }

    /// Refuses a second address from the same set. Only a request that names an address may have one.
    fn refuse_duplicate(
        &self,
        index: usize,
        set: &RangeSet,
        store: &mut Store,
    ) -> Result<(), HostLocalError> {
        for owner in [&self.owner, &Owner::container(&self.container_id)] {
            for name in store.held_by(owner)? {
                if let Some(address) = name.parse().ok().filter(|address| set.contains(*address)) {
                    let container_id = self.container_id.clone();
                    return Err(HostLocalError::Duplicate {
                        index,
                        address,
                        container_id,
                    });
                }
            }
        }
        Ok(())
    }

    /// Releases what [`Claim::create`] reserved.
    fn remove(self, names: Vec<String>) -> Result<(), Error> {
        let Some(mut store) = open(&self.place, Access::Release, self.deadline)? else {
            return Ok(());
        };
        let outcome = store.release_names(&self.owner, &names);
        // Trouble with the index was reported when the reservation was made.
        drop(store.finish());
        outcome.map_err(|errors| HostLocalError::Stores(errors).into())
    }

    /// Checks that every expected address is reserved for the attachment. If none is expected, one
    /// reservation of any address is enough.
    fn check(&self, expected: &[IpAddr]) -> Result<(), HostLocalError> {
        let (container_id, if_name) = (self.container_id.clone(), self.if_name.clone());
        let Some(mut store) = open(&self.place, Access::Read, self.deadline)? else {
            return Err(HostLocalError::NothingReserved {
                container_id,
                if_name,
            });
        };
        let owners = [self.owner.clone(), Owner::container(&self.container_id)];
        for address in expected {
            if !store
                .holder(*address)?
                .is_some_and(|owner| owners.contains(&owner))
            {
                let (address, holder) = (*address, holder(&store, *address)?);
                return Err(HostLocalError::NotReserved {
                    address,
                    container_id,
                    if_name,
                    holder,
                });
            }
        }
        if !expected.is_empty() {
            return Ok(());
        }
        for owner in &owners {
            if !store.held_by(owner)?.is_empty() {
                return Ok(());
            }
        }
        Err(HostLocalError::NothingReserved {
            container_id,
            if_name,
        })
    }
}

/// The store as a pool whose addresses are taken by `take`.
struct StorePool<'s, F> {
    store: &'s mut Store,
    take: F,
}

impl<F> Pool for StorePool<'_, F>
where
    F: FnMut(&mut Store, IpAddr) -> Result<bool, StoreError>,
{
    type Error = StoreError;

    fn first_free(&mut self, from: IpAddr, to: IpAddr) -> Option<IpAddr> {
        self.store.first_free(from, to)
    }

    fn take(&mut self, address: IpAddr) -> Result<bool, StoreError> {
        (self.take)(self.store, address)
    }
}

/// The next address of the set that `take` accepts. Before the set counts as full, the store lists the
/// directory again, and the search is repeated.
fn find<'s>(
    set: &'s RangeSet,
    last: Option<IpAddr>,
    store: &mut Store,
    mut take: impl FnMut(&mut Store, IpAddr) -> Result<bool, StoreError>,
) -> Result<Option<(IpAddr, &'s Range)>, StoreError> {
    let found = take_next(
        set,
        last,
        &mut StorePool {
            store,
            take: &mut take,
        },
    )?;
    if found.is_some() || !store.look_again()? {
        return Ok(found);
    }
    take_next(
        set,
        last,
        &mut StorePool {
            store,
            take: &mut take,
        },
    )
}

/// Requires that every set has an address left.
fn require_free(sets: &[RangeSet], place: &Place) -> Result<(), HostLocalError> {
    let Some(mut store) = open(place, Access::Read, Instant::now() + LOCK_LIMIT)? else {
        return Ok(());
    };
    for (index, set) in sets.iter().enumerate() {
        let last = store.last_reserved(index);
        let is_free = |store: &mut Store, address| Ok(store.holder(address)?.is_none());
        if find(set, last, &mut store, is_free)?.is_none() {
            return Err(HostLocalError::Unavailable(set.to_string()));
        }
    }
    Ok(())
}

/// Frees what was reserved before the last reboot, once. Failures are warnings: if one concerns the ADD
/// too, the ADD fails by itself.
fn reclaim_once(store: &mut Store, context: &Context<'_>) {
    let Ok(boot) = index::boot_id() else { return };
    match store.reclaim_once(&boot) {
        Ok(names) if names.is_empty() => {}
        Ok(names) => context.warn(&format!("reclaimed after a reboot: {}", names.join(", "))),
        Err(errors) => context.warn(&HostLocalError::Stores(errors).to_string()),
    }
}

fn open(place: &Place, access: Access, deadline: Instant) -> Result<Option<Store>, HostLocalError> {
    let left = deadline.saturating_duration_since(Instant::now());
    Ok(Store::open(place, access, left)?)
}

/// Closes the store. Trouble with the index is no error, but somebody should know why it is slow.
fn finish(store: Store, warn: impl FnOnce(&str)) {
    if let Some(trouble) = store.finish() {
        warn(&format!("{trouble}; the owner index is not used"));
    }
}

fn holder(store: &Store, address: IpAddr) -> Result<String, StoreError> {
    Ok(store
        .holder(address)?
        .map_or_else(|| "nobody".to_owned(), |owner| owner.to_string()))
}

fn ip_config(address: IpAddr, range: &Range) -> IpConfig {
    let net = IpNet::new_assert(address, range.prefix_len());
    IpConfig {
        gateway: range.gateway(),
        ..IpConfig::new(net)
    }
}

fn read_resolv_conf(path: &Path) -> Result<Dns, HostLocalError> {
    let bytes =
        state_file::read_configuration(path).map_err(|cause| HostLocalError::ResolvConf {
            path: path.to_owned(),
            cause,
        })?;
    Ok(resolv_conf::parse(&String::from_utf8_lossy(&bytes)))
}
