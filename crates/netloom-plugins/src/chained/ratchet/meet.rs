//! Which links can be made now: those whose other pod is there and has agreed.
//!
//! Whoever comes second makes the whole link, both ends in both namespaces. All of this happens under
//! the lock of the network's store, so that of two pods that come at once each sees the other, or is
//! seen by it.

use super::far::{Far, between_hosts};
use super::link::{End, Link};
use super::plan::{Plan, Wanted};
use super::record::Record;
use super::store::Store;
use super::topology::Tunnel;
use crate::wiring::SetupError;
use netloom_links::{Interface, LinkId, Outside, Place, Side, Vxlan};
use netloom_spec::{Error, NetworkName};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::collections::BTreeMap;

/// Every other pod takes two descriptors, and usually a process may have 1024.
const FEW: usize = 200;

/// As many as the process may allow itself. If that is refused there is an error that says so.
fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

/// A link of the pod that is being attached, and what is to become of it.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) link: Link,
    pub(super) tunnel: Option<Tunnel>,
    /// Why it cannot be made yet; `None` if it can.
    pub(super) pending: Option<String>,
}

/// What a pod asks for, and what it agrees to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asks<'a> {
    pub(super) wanted: &'a [Wanted],
    /// Whether it takes links that others of its Kubernetes namespace ask for alone.
    pub(super) open: bool,
    /// Whether a pod is linked only to one that names it too.
    pub(super) mutual: bool,
}

impl<'a> Asks<'a> {
    pub(super) fn of(plan: &'a Plan) -> Self {
        Self {
            wanted: &plan.wanted,
            open: plan.open,
            mutual: plan.config.mutual,
        }
    }
}

/// Another pod of this host.
#[derive(Debug)]
pub(super) struct Peer {
    record: Record,
    pub(super) place: Place,
}

/// The other pods that links of this one lead to. One that is gone is `None`.
pub(super) type Peers = BTreeMap<String, Option<Peer>>;

/// The name that a link of a network has in the kernel. The ends of a tunnel have one each: their
/// hardware addresses follow from it, and must not be the same.
pub(super) fn link_id(network: &NetworkName, link: &Link) -> LinkId {
    let name = match link.hosts {
        Some(_) => format!("{} by {}", link.id(), link.own.id()),
        None => link.id(),
    };
    LinkId::new(topology(network), name)
}

/// What this pod's end of a link may bear: as a cable, and as a tunnel to another host.
pub(super) fn marks(network: &NetworkName, link: &Link) -> [String; 2] {
    let tunnel = between_hosts(link.clone(), "");
    let cable = Link {
        hosts: None,
        ..link.clone()
    };
    [cable, tunnel].map(|link| link_id(network, &link).mark(side(&link)))
}

/// What the links of a network are together.
pub(super) fn topology(network: &NetworkName) -> String {
    format!("ratchet {network}")
}

/// Looks for the other pods, and decides about each link.
pub(super) fn candidates(
    asks: Asks<'_>,
    pod: &str,
    store: &Store,
) -> Result<(Vec<Candidate>, Peers), Error> {
    let mut peers = Peers::new();
    let mut found = Vec::new();
    let far = store.far()?;
    if asks.wanted.len() > FEW {
        allow_many_files();
    }
    for wanted in asks.wanted {
        if wanted.tunnel.is_none() && !wanted.link.peer.is_on_host() {
            meet(&mut peers, &wanted.link.peer.pod, store)?;
        }
        found.push(decide(asks, wanted, &peers, far.as_ref()));
    }
    for asker in store.askers(pod)? {
        for (link, alone) in asker.wanted() {
            let link = link.reversed();
            if !alone || link.own.pod != pod || is_known(asks, &link) {
                continue;
            }
            meet(&mut peers, &link.peer.pod, store)?;
            found.extend(accept(asks, link, &peers));
        }
    }
    if let Some(far) = &far {
        accept_far(asks, pod, far, &peers, &mut found);
    }
    Ok((found, peers))
}

/// Whether the pod asks for the link itself.
fn is_known(asks: Asks<'_>, link: &Link) -> bool {
    asks.wanted.iter().any(|own| own.link.has_ends_of(link))
}

fn meet(peers: &mut Peers, pod: &str, store: &Store) -> Result<(), Error> {
    if peers.contains_key(pod) {
        return Ok(());
    }
    let peer = match store.current(pod)? {
        Some(record) => {
            let place = record.open_place(store.boot())?;
            place.map(|place| Peer { record, place })
        }
        None => None,
    };
    peers.insert(pod.to_owned(), peer);
    Ok(())
}

/// About a link that this pod asks for.
fn decide(asks: Asks<'_>, wanted: &Wanted, peers: &Peers, far: Option<&Far>) -> Candidate {
    let Wanted {
        link,
        alone,
        tunnel,
    } = wanted.clone();
    let pending = |why: String, link| Candidate {
        link,
        tunnel: None,
        pending: Some(why),
    };
    if tunnel.is_some() || link.peer.is_on_host() {
        return Candidate {
            link,
            tunnel,
            pending: None,
        };
    }
    let Some(Some(peer)) = peers.get(&link.peer.pod) else {
        let met = far.and_then(|far| meet_far(&link, alone, far));
        if let Some((link, tunnel)) = met {
            return Candidate {
                link,
                tunnel: Some(tunnel),
                pending: None,
            };
        }
        let why = format!("pod {:?} is not attached on this host", link.peer.pod);
        return pending(why, link);
    };
    let named = (peer.record.wanted())
        .map(|(theirs, _)| theirs.reversed())
        .find(|theirs| theirs.has_ends_of(&link));
    if let Some(theirs) = named {
        return Candidate {
            link: agreed(link, theirs),
            tunnel,
            pending: None,
        };
    }
    let agrees = alone && (!asks.mutual || (peer.record.open && same_namespace(&link)));
    if !agrees {
        let why = format!("pod {:?} does not ask for it", link.peer.pod);
        return pending(why, link);
    }
    Candidate {
        link,
        tunnel,
        pending: None,
    }
}

/// About a link that only the other pod asks for.
fn accept(asks: Asks<'_>, link: Link, peers: &Peers) -> Option<Candidate> {
    let agrees = !asks.mutual || (asks.open && same_namespace(&link));
    let lives = matches!(peers.get(&link.peer.pod), Some(Some(_)));
    (agrees && lives).then_some(Candidate {
        link,
        tunnel: None,
        pending: None,
    })
}

/// A link to a pod of another host, if that has agreed. Whether one pod may ask alone, each host says
/// for its own pods: across hosts both ask, or the other is open to its Kubernetes namespace.
fn meet_far(link: &Link, alone: bool, far: &Far) -> Option<(Link, Tunnel)> {
    let pod = far.pod(&link.peer.pod)?;
    let named = (pod.record.wanted())
        .map(|(theirs, _)| theirs.reversed())
        .find(|theirs| theirs.has_ends_of(link));
    let agreed = match named {
        Some(theirs) => agreed(link.clone(), theirs),
        None if alone && pod.record.open && same_namespace(link) => link.clone(),
        None => return None,
    };
    far.tunnel(agreed, pod)
}

/// Links that only pods of other hosts ask for.
fn accept_far(asks: Asks<'_>, pod: &str, far: &Far, peers: &Peers, found: &mut Vec<Candidate>) {
    for asker in far.askers(pod) {
        let lives_here = matches!(peers.get(&asker.record.pod), Some(Some(_)));
        for (link, alone) in asker.record.wanted() {
            let link = link.reversed();
            let agrees = alone && asks.open && same_namespace(&link) && !lives_here;
            if !agrees || link.own.pod != pod || is_known(asks, &link) {
                continue;
            }
            let tunnel = far.tunnel(link, asker);
            found.extend(tunnel.map(|(link, tunnel)| Candidate {
                link,
                tunnel: Some(tunnel),
                pending: None,
            }));
        }
    }
}

/// Each pod decides about its own end.
fn agreed(own: Link, theirs: Link) -> Link {
    let mtu = match (own.mtu, theirs.mtu) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    Link {
        own: own.own,
        peer: theirs.peer,
        mtu,
        hosts: None,
    }
}

fn same_namespace(link: &Link) -> bool {
    let namespace = |end: &End| end.pod.split_once('/').map(|(it, _)| it.to_owned());
    namespace(&link.own) == namespace(&link.peer)
}

/// The host, if one of the links has anything there.
pub(super) fn host_of(candidates: &[Candidate]) -> Result<Option<Place>, Error> {
    let leads_there = |it: &Candidate| it.tunnel.is_some() || it.link.peer.is_on_host();
    let wanted = candidates.iter().any(leads_there);
    let place = wanted.then(Place::current).transpose();
    place.map_err(super::failure)
}

/// A link for the kernel. `host` is where tunnels are made from, and where ends on the host are.
pub(super) fn for_kernel<'p>(
    network: &NetworkName,
    candidate: &Candidate,
    own: &'p Place,
    host: Option<&'p Place>,
    peers: &'p Peers,
) -> Result<netloom_links::Link<'p>, Error> {
    let link = &candidate.link;
    let id = link_id(network, link);
    let near = end(&link.own, link.mtu, own);
    if let (Some(tunnel), Some(host)) = (candidate.tunnel, host) {
        let by = Outside::Vxlan(Vxlan {
            local: Some(tunnel.local),
            port: tunnel.port,
            ..Vxlan::to(tunnel.remote, tunnel.vni)
        });
        return Ok(netloom_links::Link::outside(id, near, host, by));
    }
    let place = match peers.get(&link.peer.pod) {
        _ if link.peer.is_on_host() => host,
        Some(Some(peer)) => Some(&peer.place),
        _ => None,
    };
    let place = place.ok_or_else(|| {
        let what = format!("pod {:?} is gone", link.peer.pod);
        Error::from(SetupError::Mismatch(what))
    })?;
    let far = end(&link.peer, link.mtu, place);
    Ok(match side(link) {
        Side::A => netloom_links::Link::cable(id, near, far),
        Side::B => netloom_links::Link::cable(id, far, near),
    })
}

/// Which end of the link this pod has: both pods say the same.
pub(super) fn side(link: &Link) -> Side {
    match link.own.id() < link.peer.id() || link.hosts.is_some() {
        true => Side::A,
        false => Side::B,
    }
}

fn end<'p>(end: &End, mtu: Option<u32>, place: &'p Place) -> netloom_links::End<'p> {
    let route = |hop: &super::link::Hop| netloom_links::Route {
        destination: hop.dst,
        gateway: hop.gw,
    };
    let interface = Interface {
        name: end.if_name.clone(),
        mac: end.mac.map(|mac| mac.0),
        mtu,
        addresses: end.addresses.clone(),
        routes: end.routes.iter().map(route).collect(),
        bridge: end.bridge().map(str::to_owned),
        impairment: end.impairment(),
    };
    netloom_links::End { place, interface }
}
