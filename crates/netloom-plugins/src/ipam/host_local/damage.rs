//! Reservations whose files do not tell whose they are any more.

use super::config::Plan;
use crate::wiring::reservations::listing::is_reservation;
use crate::wiring::reservations::owner::Owner;
use crate::wiring::reservations::ranges::RangeSet;
use crate::wiring::reservations::store::{Place, Store};
use crate::wiring::reservations::store_error::{StoreError, failed};
use netloom_plugin::{Attachment, DelRequest, Sweep, Version};
use netloom_spec::PluginConf;
use rustix::io::Errno;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::path::PathBuf;

/// Frees the addresses in the result of ADD whose files are damaged.
pub(super) fn release(
    store: &mut Store,
    place: &Place,
    request: &DelRequest<'_>,
) -> Result<(), Vec<StoreError>> {
    let own = Owner::attachment(request.container_id.as_str(), request.if_name.as_str());
    let made = request.prev_result().unwrap_or_default();
    for address in made.ips.iter().map(|ip| ip.address.addr().to_canonical()) {
        match store.holder(address) {
            Ok(Some(found)) if found.is_damaged(&own) => {
                let name = address.to_string();
                let file = place.reservations().join(&name);
                request.warn(&format!(
                    "{} is damaged: freed, as prevResult has the address",
                    file.display()
                ));
                store.release_names(&found, &[name])?;
            }
            Ok(_) => {}
            Err(error) => request.warn(&error.to_string()),
        }
    }
    Ok(())
}

/// The name of a reservation's file, and whose it is.
type Held = (String, Owner);

/// The attachments whose addresses are not to be freed.
pub(super) struct Living {
    /// The contents of the files that each may have, sorted.
    owners: Vec<[Owner; 2]>,
    all: HashSet<Owner>,
    /// As far as the configuration tells. An attachment has one address of each.
    sets: Vec<RangeSet>,
}

impl Living {
    pub(super) fn new(valid: &[Attachment], conf: &PluginConf, version: Version) -> Self {
        let mut owners: Vec<_> = valid
            .iter()
            .map(|it| {
                let id = &it.container_id;
                [Owner::attachment(id, &it.if_name), Owner::container(id)]
            })
            .collect();
        owners.sort_by(|[one, _], [other, _]| one.content().cmp(other.content()));
        let plan = Plan::without_attachment(conf, version).ok().flatten();
        Self {
            all: owners.iter().flatten().cloned().collect(),
            owners,
            sets: plan.map(|plan| plan.sets).unwrap_or_default(),
        }
    }

    /// The reservations among all that are none of theirs: first the damaged ones that may be
    /// after all, then the rest.
    pub(super) fn others(&self, held: &[Held]) -> (Vec<Held>, Vec<Held>) {
        let others = held.iter().filter(|(_, owner)| !self.all.contains(owner));
        others
            .cloned()
            .partition(|(name, owner)| self.may_have(name, owner, held))
    }

    fn is_damaged(&self, owner: &Owner) -> bool {
        owner.says_nothing() || self.is_left(owner)
    }

    /// Whether it is what is left of what was written for one of them.
    fn is_left(&self, owner: &Owner) -> bool {
        let is_before = |[own, _]: &[Owner; 2]| own.content() < owner.content();
        let (from, count) = match owner.is_sound() {
            // A GC has thousands that are nobody's. What is cut off sorts right before the whole.
            true => (self.owners.partition_point(is_before), 1),
            false => (0, self.owners.len()),
        };
        let mut candidates = self.owners.iter().skip(from).take(count);
        candidates.any(|[own, _]| owner.is_left_of(own))
    }

    /// Whether a damaged file may be what is left of a reservation of one of them. One that says
    /// nothing is not, if all have a sound one in its pool.
    fn may_have(&self, name: &str, owner: &Owner, held: &[Held]) -> bool {
        if self.is_left(owner) {
            return true;
        }
        if !owner.says_nothing() {
            return false;
        }
        let in_pool = held
            .iter()
            .filter(|(other, _)| self.is_one_pool(name, other));
        let sound: HashSet<&Owner> = in_pool.map(|(_, owner)| owner).collect();
        let mut all = self.owners.iter();
        all.any(|owners| !owners.iter().any(|own| sound.contains(own)))
    }

    /// Whether two addresses are of one pool; those that are in none, by their family.
    fn is_one_pool(&self, one: &str, other: &str) -> bool {
        let (Ok(one), Ok(other)) = (one.parse::<IpAddr>(), other.parse::<IpAddr>()) else {
            return false;
        };
        let set = self.sets.iter().find(|set| set.contains(one));
        set.map_or(one.is_ipv4() == other.is_ipv4(), |set| set.contains(other))
    }
}

/// Frees what belongs to none of the living. What is damaged stays as long as it may be theirs: the
/// next one to get the address would have it beside them.
pub(super) fn collect(
    store: &mut Store,
    place: &Place,
    living: &Living,
    how: Sweep<'_>,
) -> Result<(), Vec<StoreError>> {
    let damaged = RefCell::new(Vec::new());
    let freed = store.retain(|name, owner| {
        if living.all.contains(owner) {
            return true;
        }
        let is_damaged = living.is_damaged(owner);
        if is_damaged {
            damaged.borrow_mut().push((name.to_owned(), owner.clone()));
        }
        is_damaged
    });
    let mut errors = freed.err().unwrap_or_default();
    let damaged = free_damaged(store, place, living, damaged.into_inner(), how);
    errors.extend(damaged.err().into_iter().flatten());
    match errors.is_empty() {
        true => Ok(()),
        false => Err(errors),
    }
}

/// Frees those that can be nobody's, and tells of each what was done.
fn free_damaged(
    store: &mut Store,
    place: &Place,
    living: &Living,
    damaged: Vec<Held>,
    how: Sweep<'_>,
) -> Result<(), Vec<StoreError>> {
    if damaged.is_empty() {
        return Ok(());
    }
    let held = store.holders().map_err(|error| vec![error])?;
    let mut errors = Vec::new();
    for (name, owner) in damaged {
        let file = place.reservations().join(&name).display().to_string();
        if living.may_have(&name, &owner, &held) {
            let why = "kept, as it may be of a valid attachment";
            how.warn(&format!("{file} is damaged: {why}"));
            continue;
        }
        how.warn(&format!("{file} is damaged: freed"));
        let freed = store.release_names(&owner, &[name]);
        errors.extend(freed.err().into_iter().flatten());
    }
    match errors.is_empty() {
        true => Ok(()),
        false => Err(errors),
    }
}

/// What has the name of a reservation, and is no file: it keeps an address from being given.
pub(super) fn no_files(place: &Place) -> Result<Vec<PathBuf>, StoreError> {
    let directory = place.reservations();
    let list = || -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let is_address = entry.file_name().to_str().is_some_and(is_reservation);
            if is_address && !entry.file_type()?.is_file() {
                found.push(entry.path());
            }
        }
        Ok(found)
    };
    match list() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            failed("list", &directory)(errno)
        }),
    }
}
