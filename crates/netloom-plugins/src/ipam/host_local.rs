//! host-local: addresses from ranges in the configuration, unique on this host.
//!
//! It makes no kernel objects. What it makes is files, see `store`: one for each reserved
//! address, which belongs to the attachment whose container id and interface name it holds. They
//! are the reference's files under the reference's lock, so both can serve the same network. The
//! index beside them is a cache, see `index`.
//!
//! Every operation is done under one lock, so an ADD with several range sets gets an address from
//! each or none at all.

mod address;
mod allocator;
mod blocks;
mod boot;
mod config;
mod damage;
mod directory;
mod error;
mod forgotten;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
#[cfg(test)]
mod healing_tests;
mod index;
mod listing;
mod owner;
mod ranges;
mod resolv_conf;
mod sandbox;
mod store;
mod store_error;
mod survey;
mod table;

use crate::wiring::state_file;
use allocator::{Pool, take_next};
pub use config::DATA_DIR;
use config::{Plan, place};
use damage::Living;
use error::HostLocalError;
pub use forgotten::{Forgotten, forgotten};
use ipnet::IpNet;
use netloom_plugin::{
    AddRequest, AddResult, Attachment, CheckRequest, Context, DelRequest, Error, GcRequest, Needs,
    Plugin, StatusRequest, Undo, Version,
};
use netloom_spec::{Dns, IpConfig, NetworkName, PluginConf};
use owner::Owner;
use ranges::{Range, RangeSet};
use sandbox::Sandbox;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use store::{Access, Choice, Place, Store};
use store_error::StoreError;

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

    fn release(&self) -> &'static str {
        crate::REFERENCE
    }

    fn validate(&self, conf: &PluginConf) -> Result<Needs, Error> {
        let version = conf.version()?;
        match conf.capabilities().get("ipRanges") {
            // The runtime may name the ranges.
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
        undo.push("release the reserved addresses", move || {
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

    /// Needs only the network's name and `dataDir`: what a faulty configuration cannot describe
    /// must still be removed, and `CNI_ARGS` say nothing about what was reserved.
    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        let place = place(request.conf, request.network());
        let (id, if_name) = (request.container_id.as_str(), request.if_name.as_str());
        let deadline = request.deadline(LOCK_LIMIT);
        let Some(mut store) = open(&place, Access::Release, deadline)? else {
            return Ok(());
        };
        let own = Owner::attachment(id, if_name);
        let released = match sandbox::release(&mut store, &place, &own, request) {
            // Very old versions of the reference did not write the interface.
            Ok(false) => sandbox::release(&mut store, &place, &Owner::container(id), request),
            outcome => outcome,
        };
        let damaged = damage::release(&mut store, &place, request);
        finish(store, request);
        released
            .and(damaged)
            .map_err(|errors| HostLocalError::Stores(errors).into())
    }

    fn gc(&self, request: &GcRequest<'_>) -> Result<(), Error> {
        let Some(valid) = &request.valid else {
            request.warn("GC without cni.dev/valid-attachments, nothing is removed");
            return Ok(());
        };
        let place = place(request.conf, request.network());
        let deadline = request.deadline(LOCK_LIMIT);
        let Some(mut store) = open(&place, Access::Release, deadline)? else {
            return Ok(());
        };
        let living = Living::new(valid, request.conf, request.version());
        let outcome = damage::collect(&mut store, &place, &living, request);
        for path in damage::no_files(&place).unwrap_or_default() {
            request.warn(&format!("{} is no file, and stays", path.display()));
        }
        finish(store, request);
        outcome.map_err(|errors| HostLocalError::Stores(errors).into())
    }

    fn status(&self, request: &StatusRequest<'_>) -> Result<(), Error> {
        let Some(plan) = Plan::without_attachment(request.conf, request.version())? else {
            // The ranges come with each ADD.
            return Ok(());
        };
        let place = place(request.conf, request.network());
        Ok(require_free(&plan.sets, &place)?)
    }
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
        // There always is one to reserve in.
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
        finish(store, context);
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
            // A hint, and not worth failing for.
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

    /// Refuses a second address from the same set. It is no error to get one by asking for it.
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
        // Trouble with the index was told when it was written for the reservation.
        drop(store.finish());
        outcome.map_err(|errors| HostLocalError::Stores(errors).into())
    }

    /// Checks that every expected address is reserved for the attachment, or anything at all if
    /// none is expected.
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

/// The next address of the set that `take` accepts. Before there is none the store looks again.
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

/// What is in the way of an ADD is its own error then.
fn reclaim_once(store: &mut Store, context: &Context<'_>) {
    let Ok(boot) = index::boot_id() else { return };
    match store.reclaim_once(&boot) {
        Ok(names) if names.is_empty() => {}
        Ok(names) => context.warn(&format!("reclaimed after a reboot: {}", names.join(", "))),
        Err(errors) => context.warn(&HostLocalError::Stores(errors).to_string()),
    }
}

/// The addresses of a network that are known to have been reserved in an earlier run of the kernel.
///
/// # Errors
/// When the store cannot be locked or read.
pub fn of_earlier_boots(conf: &PluginConf, network: &NetworkName) -> Result<Vec<String>, Error> {
    let Some(store) = open(
        &place(conf, network),
        Access::Read,
        Instant::now() + LOCK_LIMIT,
    )?
    else {
        return Ok(Vec::new());
    };
    let boot = this_boot()?;
    Ok(store
        .of_earlier_boots(&boot)
        .map_err(HostLocalError::from)?)
}

/// What keeps addresses of a network from being given, and does not say for whom: what is no file,
/// and what is damaged and may be of one of these attachments.
///
/// # Errors
/// When the directory cannot be read, or the store cannot be locked.
pub fn obstacles(
    conf: &PluginConf,
    network: &NetworkName,
    valid: &[Attachment],
) -> Result<Vec<PathBuf>, Error> {
    let place = place(conf, network);
    let mut found = damage::no_files(&place).map_err(HostLocalError::from)?;
    let doubtful = Living::new(valid, conf, Version::LATEST)
        .others(&held(&place)?)
        .0;
    let files = doubtful
        .iter()
        .map(|(name, _)| place.reservations().join(name));
    found.extend(files);
    Ok(found)
}

/// The reservations that are of none of these attachments, with their owners.
///
/// # Errors
/// When the store cannot be locked or read.
pub fn stale(
    conf: &PluginConf,
    network: &NetworkName,
    valid: &[Attachment],
) -> Result<Vec<String>, Error> {
    let place = place(conf, network);
    let all = Living::new(valid, conf, Version::LATEST)
        .others(&held(&place)?)
        .1;
    let told = |(name, owner): (String, Owner)| {
        let file = place.reservations().join(name);
        format!("{} of {owner}", file.display())
    };
    Ok(all.into_iter().map(told).collect())
}

/// The attachments that addresses of a network are reserved for, as far as the reservations tell, with
/// the address of each. One of a version of the reference that wrote no interface down counts as the
/// container's `eth0`.
///
/// # Errors
/// When the store cannot be locked or read.
pub fn reserved(
    conf: &PluginConf,
    network: &NetworkName,
) -> Result<Vec<(Attachment, IpAddr)>, Error> {
    let held = held(&place(conf, network))?;
    let told = |(name, owner): (String, Owner)| Some((owner.of_whom()?, name.parse().ok()?));
    Ok(held.into_iter().filter_map(told).collect())
}

/// Every reservation and whose it is.
fn held(place: &Place) -> Result<Vec<(String, Owner)>, HostLocalError> {
    match open(place, Access::Read, Instant::now() + LOCK_LIMIT)? {
        Some(store) => Ok(store.holders()?),
        None => Ok(Vec::new()),
    }
}

/// How many addresses each pool of a configuration has, and how many of them are taken.
///
/// # Errors
/// When the configuration is bad, or the store cannot be locked or read.
pub fn usage(
    conf: &PluginConf,
    network: &NetworkName,
    version: Version,
) -> Result<Vec<Usage>, Error> {
    let Some(plan) = Plan::without_attachment(conf, version)? else {
        return Ok(Vec::new());
    };
    let taken = held(&place(conf, network))?;
    let taken: Vec<IpAddr> = taken
        .iter()
        .filter_map(|(name, _)| name.parse().ok())
        .collect();
    let usage = |set: &RangeSet| Usage {
        pool: set.to_string(),
        taken: taken.iter().filter(|it| set.contains(**it)).count() as u128,
        size: set.ranges().iter().map(Range::size).sum(),
    };
    Ok(plan.sets.iter().map(usage).collect())
}

/// How full a pool is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Its ranges.
    pub pool: String,
    /// The addresses that are reserved.
    pub taken: u128,
    /// All that can be given, the gateways' not counted.
    pub size: u128,
}

fn this_boot() -> Result<String, HostLocalError> {
    let read = index::boot_id().map_err(store_error::failed("read", Path::new(index::BOOT_ID)));
    Ok(read?)
}

/// Frees these addresses, and tells which.
///
/// # Errors
/// When the store cannot be locked or read, or some cannot be freed: the others are.
pub fn reclaim(conf: &PluginConf, network: &NetworkName) -> Result<Vec<String>, Error> {
    let Some(mut store) = open(
        &place(conf, network),
        Access::Release,
        Instant::now() + LOCK_LIMIT,
    )?
    else {
        return Ok(Vec::new());
    };
    let boot = this_boot()?;
    let outcome = store.reclaim(&boot);
    // Trouble with the index makes later calls slow, and they tell it.
    drop(store.finish());
    outcome.map_err(|errors| HostLocalError::Stores(errors).into())
}

fn open(place: &Place, access: Access, deadline: Instant) -> Result<Option<Store>, HostLocalError> {
    let left = deadline.saturating_duration_since(Instant::now());
    Ok(Store::open(place, access, left)?)
}

/// Trouble with the index is no error of the call, but somebody should know why it is slow.
fn finish(store: Store, context: &Context<'_>) {
    if let Some(trouble) = store.finish() {
        context.warn(&format!("{trouble}; the owner index is not used"));
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

plan_door!(|conf, args| Plan::new(conf, conf.version()?, args));
