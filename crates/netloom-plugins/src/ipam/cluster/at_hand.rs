//! Whether an ADD could be served now.

use super::error::ClusterError;
use super::plan::Plan;
use super::{daemon, grants};
use crate::wiring::reservations::index;
use crate::wiring::reservations::store::{Access, Store};
use std::time::Duration;

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
