//! What reservations tell to others than the pods that they are of: who holds them, what of them is
//! nobody's, how full the pools are.

use super::config::{Plan, place};
use super::damage::{self, Living};
use super::error::HostLocalError;
use super::{LOCK_LIMIT, finish, open};
use crate::wiring::reservations::owner::Owner;
use crate::wiring::reservations::ranges::{Range, RangeSet};
use crate::wiring::reservations::store::{Access, Place};
use crate::wiring::reservations::{index, store_error};
use netloom_plugin::host::{ClaimedAddress, Pool};
use netloom_plugin::{Error, Found, Owned, Removal, Scope, Sweep, Version};
use netloom_spec::{NetworkName, PluginConf};
use std::net::IpAddr;
use std::path::Path;
use std::time::Instant;

/// What GC frees.
pub(super) const OWNED: Owned =
    Owned::of_conf("reservation", sweep).with_earlier_boots(sweep_earlier_boots);

/// GC: what is of none of the valid attachments, with its owner, and what keeps addresses from being
/// given and does not say for whom: what is no file, and what is damaged and may be of one of them.
fn sweep(scope: &Scope<'_>, how: Sweep<'_>) -> Result<Vec<Found>, Error> {
    let place = place(scope.conf, scope.network);
    let no_files = || -> Result<Vec<Found>, HostLocalError> {
        Ok(damage::no_files(&place)?
            .into_iter()
            .map(Found::broken)
            .collect())
    };
    let living = Living::new(scope.valid, scope.conf, scope.version);
    if how.removes() {
        let Some(mut store) = open(&place, Access::Release, lock_deadline())? else {
            return Ok(Vec::new());
        };
        let outcome = damage::collect(&mut store, &place, &living, how);
        finish(store, |trouble| how.warn(trouble));
        outcome.map_err(HostLocalError::Stores)?;
        return Ok(no_files().unwrap_or_default());
    }
    let (doubtful, stale) = living.others(&held(&place)?);
    let file = |name: &str| place.reservations().join(name);
    let mut found = no_files()?;
    found.extend(doubtful.iter().map(|(name, _)| Found {
        removal: Removal::Restore(file(name)),
        ..Found::broken(file(name))
    }));
    let mut stale: Vec<_> = (stale.iter())
        .map(|(name, owner)| format!("{} of {owner}", file(name).display()))
        .collect();
    stale.sort();
    found.extend(stale.into_iter().map(Found::collectable));
    Ok(found)
}

/// The addresses that are known to have been reserved in an earlier run of the kernel.
fn sweep_earlier_boots(scope: &Scope<'_>, how: Sweep<'_>) -> Result<Vec<Found>, Error> {
    let access = match how.removes() {
        true => Access::Release,
        false => Access::Read,
    };
    let place = place(scope.conf, scope.network);
    let Some(mut store) = open(&place, access, lock_deadline())? else {
        return Ok(Vec::new());
    };
    let boot = index::boot_id().map_err(store_error::failed("read", Path::new(index::BOOT_ID)));
    let boot = boot.map_err(HostLocalError::from)?;
    let outcome = match how.removes() {
        true => store.reclaim(&boot),
        false => store.of_earlier_boots(&boot).map_err(|error| vec![error]),
    };
    // Trouble with the index makes later calls slow, and they tell it.
    drop(store.finish());
    let names = outcome.map_err(HostLocalError::Stores)?;
    Ok(names.into_iter().map(Found::collectable).collect())
}

fn lock_deadline() -> Instant {
    Instant::now() + LOCK_LIMIT
}

/// Every reservation and whose it is.
fn held(place: &Place) -> Result<Vec<(String, Owner)>, HostLocalError> {
    match open(place, Access::Read, lock_deadline())? {
        Some(store) => Ok(store.holders()?),
        None => Ok(Vec::new()),
    }
}

/// For whom addresses are reserved, as far as the reservations tell.
pub(super) fn claims(
    conf: &PluginConf,
    network: &NetworkName,
) -> Result<Vec<ClaimedAddress>, Error> {
    let told = |(name, owner): (String, Owner)| Some((owner.of_whom()?, name.parse().ok()?).into());
    let held = held(&place(conf, network))?;
    Ok(held.into_iter().filter_map(told).collect())
}

/// How full each pool of a configuration is.
pub(super) fn pools(
    conf: &PluginConf,
    network: &NetworkName,
    version: Version,
) -> Result<Vec<Pool>, Error> {
    let Some(plan) = Plan::without_attachment(conf, version)? else {
        return Ok(Vec::new());
    };
    let taken = held(&place(conf, network))?;
    let taken: Vec<IpAddr> = (taken.iter())
        .filter_map(|(name, _)| name.parse().ok())
        .collect();
    let pool = |set: &RangeSet| Pool {
        pool: set.to_string(),
        taken: taken.iter().filter(|it| set.contains(**it)).count() as u128,
        size: set.ranges().iter().map(Range::size).sum(),
    };
    Ok(plan.sets.iter().map(pool).collect())
}
