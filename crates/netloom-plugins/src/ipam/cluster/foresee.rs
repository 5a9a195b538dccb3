//! Which addresses ADD would reserve, found without the lock and without the daemon: another ADD may come
//! first, and what the daemon would claim is not known before.

use super::error::ClusterError;
use super::plan::{Plan, Set, ip_config};
use super::{Read, daemon, grants, place};
use crate::wiring::reservations::foresee::Look;
use crate::wiring::reservations::index;
use netloom_cluster::disk::GrantsFile;
use netloom_cluster::record::Keep;
use netloom_plugin::forecast::{Effect, Forecast, Spot};
use netloom_plugin::{Error, code};
use std::net::IpAddr;

pub(super) fn describe(forecast: &mut Forecast<'_>, read: Read) -> Result<(), Error> {
    let plan = read(&forecast.conf, forecast.version, forecast.args)?;
    let place = place(plan.space.clone());
    let path = place.reservations();
    let boot = index::boot_id().unwrap_or_default();
    let file = grants::read(&place)?.filter(|file| file.is_verified_in(&boot));
    let file = file.unwrap_or_default();
    let mut look = Look::at(path.clone());
    for (number, set) in plan.sets.iter().enumerate() {
        let name = match next(&plan, &file, &mut look, number) {
            Some(address) => {
                let range = set.ranges.range_of(address);
                forecast
                    .result
                    .ips
                    .extend(range.map(|range| ip_config(address, range)));
                address.to_string()
            }
            None => {
                require_daemon(set)?;
                forecast.is_open = true;
                "*".to_owned()
            }
        };
        forecast.makes("file", path.join(name).display().to_string());
    }
    let directory = match look.is_there() {
        true => Effect::Changes,
        false => Effect::Makes,
    };
    forecast.tell(directory, Spot::Host, "file", path.display().to_string());
    forecast.result.routes.extend(plan.routes);
    Ok(())
}

/// The address of the set with this number, unless the daemon would name it.
fn next(plan: &Plan, file: &GrantsFile, look: &mut Look, number: usize) -> Option<IpAddr> {
    let set = plan.sets.get(number)?;
    if set.requested.is_some() {
        return set.requested;
    }
    if plan.keep != Keep::No {
        return None;
    }
    let parts = grants::of_set(file, set);
    let next = look.next_within(number, &set.ranges, &parts);
    next.map(|(address, _)| address)
}

/// Without an address at hand somebody has to be there who claims one.
fn require_daemon(set: &Set) -> Result<(), Error> {
    if daemon::is_there() {
        return Ok(());
    }
    let missing = ClusterError::Unavailable(set.ranges.to_string());
    Err(Error::new(code::TRY_AGAIN_LATER, missing.to_string()))
}
