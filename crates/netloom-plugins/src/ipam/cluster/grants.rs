//! What this node may give of a space.

use super::error::ClusterError;
use super::plan::{Set, Stretch};
use crate::wiring::reservations::store::Place;
use crate::wiring::state_file;
use netloom_cluster::disk::{GRANTS, Grant, GrantsFile};
use std::net::IpAddr;

/// The file, if there is one.
pub(super) fn read(place: &Place) -> Result<Option<GrantsFile>, ClusterError> {
    let path = place.reservations().join(GRANTS);
    let failed = |cause: String| ClusterError::Grants {
        path: path.clone(),
        cause,
    };
    let Some(bytes) = state_file::read(&path).map_err(|error| failed(error.to_string()))? else {
        return Ok(None);
    };
    GrantsFile::parse(&bytes)
        .map(Some)
        .map_err(|error| failed(error.to_string()))
}

fn ends(grant: &Grant) -> Stretch {
    let last = grant.span.at() + (grant.span.len() - 1);
    (
        grant.block.address(grant.span.at()),
        grant.block.address(last),
    )
}

/// What may be given of a set, in ascending order: what lies in grants that are nobody's in particular.
pub(super) fn of_set(file: &GrantsFile, set: &Set) -> Vec<Stretch> {
    let wanted = set.stretches();
    let loose = file.grants.iter().filter(|it| it.pin.is_none()).map(ends);
    let mut stretches = Vec::new();
    for (from, to) in loose {
        for (start, end) in wanted.iter().filter(|it| it.0.is_ipv4() == from.is_ipv4()) {
            let (first, last) = (from.max(*start), to.min(*end));
            if first <= last {
                stretches.push((first, last));
            }
        }
    }
    stretches.sort();
    stretches
}

/// Whether the node may give the address to that pod, or to any.
pub(super) fn may_give(file: &GrantsFile, address: IpAddr, pod: Option<&str>) -> bool {
    let mut grants = file.grants.iter();
    grants.any(|it| {
        it.contains(address)
            && it
                .pin
                .as_ref()
                .is_none_or(|pin| Some(pin.pod.as_str()) == pod)
    })
}

/// Whether the node holds the address at all.
pub(super) fn holds(file: &GrantsFile, address: IpAddr) -> bool {
    file.grants.iter().any(|it| it.contains(address))
}
