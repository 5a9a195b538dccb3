//! Waiting for links whose other pod is not there yet: it makes them in this pod's namespace, and the
//! kernel tells of that.

use super::meet::{self, Candidate, Peers};
use super::plan::Plan;
use crate::wiring::SetupError;
use netloom_kernel::rtnl::{Group, Subscription};
use netloom_links::Place;
use netloom_plugin::AddRequest;
use netloom_spec::Error;
use std::time::{Duration, Instant};

/// How long the kernel may take to begin to use links that are up. It takes a millisecond.
const PATIENCE: Duration = Duration::from_secs(1);

/// Waits until packets pass the links: what is sent before is lost, and the first to be lost is the
/// question for the neighbour, which is asked again after a second. A link that somebody has set down
/// meanwhile keeps nobody.
pub(super) fn settle(place: &Place, candidates: &[Candidate], peers: &Peers) {
    let deadline = Instant::now() + PATIENCE;
    for candidate in candidates.iter().filter(|it| it.pending.is_none()) {
        let link = &candidate.link;
        let _ = place
            .socket()
            .wait_link_up(link.own.if_name.as_str(), deadline);
        if let (Some(Some(peer)), None) = (peers.get(&link.peer.pod), candidate.tunnel) {
            let there = peer.place.socket();
            let _ = there.wait_link_up(link.peer.if_name.as_str(), deadline);
        }
    }
}

/// Those that came, and those that did not.
type Sorted = (Vec<Candidate>, Vec<Candidate>);

pub(super) fn wait(
    request: &AddRequest<'_>,
    plan: &Plan,
    place: &Place,
    pending: Vec<Candidate>,
) -> Result<Sorted, Error> {
    if pending.is_empty() || plan.config.wait.is_zero() {
        return Ok((Vec::new(), pending));
    }
    let deadline = Instant::now() + plan.config.wait;
    let listen = SetupError::kernel("listen to the pod's links");
    // What comes before this is seen by looking, what comes later is heard.
    let events = Subscription::open(place.socket(), &[Group::Links]).map_err(listen)?;
    let (mut came, mut missing) = (Vec::new(), pending);
    loop {
        let mut absent = Vec::new();
        for candidate in missing {
            match is_up(request, place, &candidate)? {
                true => came.push(candidate),
                false => absent.push(candidate),
            }
        }
        missing = absent;
        let heard = || {
            events
                .wait(deadline)
                .map_err(SetupError::kernel("wait for links"))
        };
        if missing.is_empty() || !heard()? {
            return Ok((came, missing));
        }
    }
}

/// Whether the link is there, is ours by its mark, and is up.
fn is_up(
    request: &AddRequest<'_>,
    place: &Place,
    candidate: &Candidate,
) -> Result<bool, SetupError> {
    // The other pod may turn out to be on another host.
    for mark in meet::marks(request.network(), &candidate.link) {
        let found = place.socket().find_link(mark.as_str());
        let found = found.map_err(SetupError::kernel(format!("look up {mark:?}")))?;
        if found.is_some_and(|link| link.flags.is_up()) {
            return Ok(true);
        }
    }
    Ok(false)
}
