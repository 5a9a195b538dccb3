//! What reservations tell to others than the pods that they are of.

use super::error::ClusterError;
use super::plan::{Plan, Set};
use super::{LOCK_LIMIT, place};
use crate::wiring::reservations::owner::Owner;
use crate::wiring::reservations::ranges::Range;
use crate::wiring::reservations::store::{Access, Place, Store};
use netloom_plugin::host::{ClaimedAddress, Pool};
use netloom_plugin::{Error, Found, Scope, Sweep};
use netloom_spec::NetworkName;
use std::collections::HashSet;
use std::net::IpAddr;

fn held(place: &Place) -> Result<Vec<(String, Owner)>, ClusterError> {
    match Store::open(place, Access::Read, LOCK_LIMIT)? {
        Some(store) => Ok(store.holders()?),
        None => Ok(Vec::new()),
    }
}

/// GC: what is of this network and of none of the valid attachments. What is of other networks, or does
/// not say of which, stays.
pub(super) fn sweep(place: Place, scope: &Scope<'_>, how: Sweep<'_>) -> Result<Vec<Found>, Error> {
    let network = scope.network.as_str();
    let valid: HashSet<Owner> = (scope.valid.iter())
        .map(|it| Owner::of_network(&it.container_id, &it.if_name, network))
        .collect();
    let is_stale =
        |owner: &Owner| owner.network() == Some(network.as_bytes()) && !valid.contains(owner);
    if how.removes() {
        let opened =
            Store::open(&place, Access::Release, LOCK_LIMIT).map_err(ClusterError::from)?;
        let Some(mut store) = opened else {
            return Ok(Vec::new());
        };
        let outcome = store.retain(|_, owner| !is_stale(owner));
        if let Some(trouble) = store.finish() {
            how.warn(&format!("{trouble}; the owner index is not used"));
        }
        outcome.map_err(ClusterError::Stores)?;
        return Ok(Vec::new());
    }
    let mut stale: Vec<String> = (held(&place)?.iter())
        .filter(|(_, owner)| is_stale(owner))
        .map(|(name, owner)| format!("{} of {owner}", place.reservations().join(name).display()))
        .collect();
    stale.sort();
    Ok(stale.into_iter().map(Found::collectable).collect())
}

/// For whom addresses of the network are reserved.
pub(super) fn claims(place: &Place, network: &NetworkName) -> Result<Vec<ClaimedAddress>, Error> {
    let told = |(name, owner): (String, Owner)| {
        let is_its = owner.network() == Some(network.as_str().as_bytes());
        let attachment = owner.of_whom().filter(|_| is_its)?;
        Some((attachment, name.parse().ok()?).into())
    };
    Ok(held(place)?.into_iter().filter_map(told).collect())
}

/// How much of each set this node gave.
pub(super) fn pools(plan: &Plan) -> Result<Vec<Pool>, Error> {
    let taken = held(&place(plan.space.clone()))?;
    let taken: Vec<IpAddr> = taken
        .iter()
        .filter_map(|(name, _)| name.parse().ok())
        .collect();
    let pool = |set: &Set| Pool {
        pool: set.ranges.to_string(),
        taken: taken.iter().filter(|it| set.ranges.contains(**it)).count() as u128,
        size: set.ranges.ranges().iter().map(Range::size).sum(),
    };
    Ok(plan.sets.iter().map(pool).collect())
}
