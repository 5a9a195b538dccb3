//! Taking a pod's links away, by their marks. Happens under the lock of the store.

use super::link::Link;
use super::meet::{self, Candidate, Peers};
use super::record::Record;
use super::store::Store;
use crate::wiring::SetupError;
use netloom_kernel::rtnl::LinkKind;
use netloom_links::{Place, group_of, mark_prefix, remove_topology};
use netloom_plugin::Cleanup;
use netloom_spec::{Error, NetworkName};

/// Removes the links of an attachment, and what makes other pods find it. The record itself stays.
pub(super) fn unlink(store: &Store, record: &Record, network: &NetworkName) -> Result<(), Error> {
    let mut cleanup = Cleanup::new();
    // Of a former run of the kernel nothing but files is left.
    if record.boot == store.boot() && !record.pod.is_empty() {
        cleanup.step("remove the links", remove(store, record, network));
    }
    cleanup.step("stop asking for links", store.stop_asking(record));
    cleanup.step("remove the pod from the store", store.unpoint(record));
    cleanup.finish()
}

fn remove(store: &Store, record: &Record, network: &NetworkName) -> Result<(), Error> {
    let newest = store.current(&record.pod)?;
    let later = newest.filter(|newest| newest.owner() != record.owner());
    match (record.open_place(store.boot())?, later) {
        (Some(place), later) => {
            let later = later
                .map(|later| later.open_place(store.boot()))
                .transpose()?;
            // A later container may have the same namespace; the links are that one's then.
            if later
                .flatten()
                .is_some_and(|later| later.id() == place.id())
            {
                return Ok(());
            }
            let removed = remove_topology(&place, &meet::topology(network));
            removed.map(drop).map_err(super::failure)
        }
        (None, None) => remove_other_ends(store, record, network),
        (None, Some(_)) => Ok(()),
    }
}

/// The namespace is gone, and the kernel removes the other ends as well, in its own time. Whoever is
/// told that the attachment is gone need not wait for that.
fn remove_other_ends(store: &Store, record: &Record, network: &NetworkName) -> Result<(), Error> {
    let mut links: Vec<Link> = record.wanted().map(|(link, _)| link).collect();
    for asker in store.askers(&record.pod)? {
        let theirs = asker.wanted().map(|(link, _)| link.reversed());
        links.extend(theirs.filter(|link| link.own.pod == record.pod));
    }
    let mut cleanup = Cleanup::new();
    for link in links {
        let removed = (|| {
            if link.peer.is_on_host() {
                let host = Place::current().map_err(super::failure)?;
                return remove_marked(&link.clone().reversed(), &host, network);
            }
            let Some(peer) = store.current(&link.peer.pod)? else {
                return Ok(());
            };
            match peer.open_place(store.boot())? {
                Some(place) => remove_marked(&link.clone().reversed(), &place, network),
                None => Ok(()),
            }
        })();
        cleanup.step(&format!("remove {}", link.peer.id()), removed);
    }
    cleanup.finish()
}

/// A host has one tunnel of a number. The pod's next container is to have those that this one has; a
/// cable it gets anew.
pub(super) fn free_tunnels(
    store: &Store,
    former: &Record,
    network: &NetworkName,
) -> Result<(), Error> {
    match former.open_place(store.boot())? {
        Some(place) => remove_tunnels(&place, network, &[]),
        None => Ok(()),
    }
}

/// Removes the network's tunnels from a pod, but for those that bear one of these marks.
pub(super) fn remove_tunnels(
    place: &Place,
    network: &NetworkName,
    kept: &[String],
) -> Result<(), Error> {
    let topology = meet::topology(network);
    let (group, prefix) = (group_of(&topology), mark_prefix(&topology));
    let socket = place.socket();
    let failed = || SetupError::kernel(format!("remove the tunnels of {place}"));
    for link in socket.list_links().map_err(failed())? {
        let is_tunnel = matches!(link.kind, Some(LinkKind::Vxlan(_)));
        let marks = || link.alternative_names.iter();
        let is_ours = link.group == group && marks().any(|mark| mark.starts_with(&prefix));
        if is_tunnel && is_ours && !marks().any(|mark| kept.contains(mark)) {
            socket.remove_link(link.index).map_err(failed())?;
        }
    }
    Ok(())
}

/// Removes the tunnels that other pods of this host have had to a pod that has come here.
pub(super) fn make_way(
    network: &NetworkName,
    candidates: &[Candidate],
    peers: &Peers,
) -> Result<(), Error> {
    let cables = candidates.iter().filter(|it| it.tunnel.is_none());
    for link in cables.map(|it| it.link.clone().reversed()) {
        if let Some(Some(peer)) = peers.get(&link.own.pod) {
            let [_, tunnel] = meet::marks(network, &link);
            remove_one(&tunnel, &peer.place)?;
        }
    }
    Ok(())
}

fn remove_marked(link: &Link, place: &Place, network: &NetworkName) -> Result<(), Error> {
    let mark = meet::link_id(network, link).mark(meet::side(link));
    remove_one(&mark, place)
}

fn remove_one(mark: &str, place: &Place) -> Result<(), Error> {
    let socket = place.socket();
    let failed = || SetupError::kernel(format!("remove the end {mark} in {place}"));
    if let Some(end) = socket.find_link(mark).map_err(failed())? {
        socket.remove_link(end.index).map_err(failed())?;
    }
    Ok(())
}
