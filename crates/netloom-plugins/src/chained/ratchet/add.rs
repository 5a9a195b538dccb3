//! ADD.

use super::meet::{self, Asks, Candidate, Peers};
use super::plan::Plan;
use super::record::{Of, Record};
use super::store::Store;
use super::{unlink, wait};
use crate::wiring::owner::Owner;
use crate::wiring::setup_error::invalid;
use crate::wiring::{SetupError, record, sandbox};
use netloom_links::Place;
use netloom_plugin::{AddRequest, Undo};
use netloom_spec::{AddResult, Error, Interface, IpConfig, Mac, PluginConf, code};

/// The pod is attached by whoever does that, and its record found by others, before its links are
/// made: whoever comes later makes those that are not.
pub(super) fn add<'r>(
    request: &'r AddRequest<'r>,
    undo: &mut Undo<'r>,
) -> Result<AddResult, Error> {
    let plan = Plan::new(request.conf, request.args, request.if_name.as_str())?;
    let made = request.prev_result()?;
    if made.is_some() && plan.delegate().is_some() {
        return Err(invalid(
            "delegate: in a chain the plugin before this one attaches the pod, and gives prevResult",
        ));
    }
    for key in &plan.config.ignored {
        request.warn(&format!(
            "{key} is not used: links of this host need nothing of it"
        ));
    }
    let store = Store::of(&plan.config.store, request.network())?;
    let place = place_of(request, &plan)?;
    let of = Of {
        owner: Owner::new(request.network(), &request.container_id, &request.if_name),
        boot: store.boot(),
        netns: request.netns,
    };
    let mut noted = Record::begin(of, plan.delegate());
    let mut result = match plan.delegate() {
        Some(conf) => delegated(request, conf, &store, &noted, undo)?,
        None => made.unwrap_or_default(),
    };
    let Some(pod) = plan.participant() else {
        return Ok(result);
    };
    noted.complete(pod, &place, &plan.wanted, plan.open);
    let up = link_up(request, &plan, &store, &noted, &place, undo)?;
    report(&mut result, &plan, request, &place, &up)?;
    Ok(result)
}

fn place_of(request: &AddRequest<'_>, plan: &Plan) -> Result<Place, Error> {
    let netns = sandbox::open(request.netns)?;
    let words = format!("pod {:?}", plan.pod.as_deref().unwrap_or(request.netns));
    Place::new(netns, words).map_err(super::failure)
}

/// Has the pod attached by another plugin. DEL calls that with the configuration of now.
fn delegated<'r>(
    request: &'r AddRequest<'r>,
    conf: &PluginConf,
    store: &Store,
    noted: &Record,
    undo: &mut Undo<'r>,
) -> Result<AddResult, Error> {
    let delegate = request.delegate(conf.plugin_type());
    delegate.look_up()?;
    record::refuse_second(request)?;
    store.create()?;
    store.save(noted)?;
    let delegate = delegate.with_conf(conf.clone());
    // After a failed ADD its DEL has been run, but not told whether it failed too. Only after a
    // DEL that succeeded is the record of no more use.
    let outcome = delegate.add(&mut Undo::new());
    let what = format!("DEL of the delegate {}", delegate.kind());
    let (store, owner) = (store.clone(), super::owner_of(request));
    undo.on_failure(what, move || {
        delegate.del()?;
        store.forget(owner)
    });
    outcome
}

/// Tells the others of the pod, makes the links that can be made, and waits for the rest as long as
/// it is to. Returns those that are up.
fn link_up<'r>(
    request: &'r AddRequest<'r>,
    plan: &Plan,
    store: &Store,
    noted: &Record,
    place: &Place,
    undo: &mut Undo<'r>,
) -> Result<Vec<Candidate>, Error> {
    let pod = noted.pod.as_str();
    let lock = store.lock()?;
    let former = former(store, noted)?;
    let (kept, left) = (store.clone(), noted.clone());
    undo.on_failure("remove the links", move || {
        let _lock = kept.lock()?;
        unlink::unlink(&kept, &left, request.network())?;
        match left.has_delegate() {
            // Its DEL comes next, and removes the record.
            true => Ok(()),
            false => kept.forget(super::owner_of(request)),
        }
    });
    store.save(noted)?;
    if let Some(former) = former {
        unlink::free_tunnels(store, &former, request.network())?;
    }
    store.point(noted)?;
    store.ask(noted)?;
    let (mut candidates, peers) = meet::candidates(Asks::of(plan), pod, store)?;
    if store.has_far() {
        unlink::make_way(request.network(), &candidates, &peers)?;
    }
    make(request, place, &mut candidates, &peers)?;
    drop(lock);
    wait::settle(place, &candidates, &peers);
    let (up, pending): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|it| it.pending.is_none());
    let (late, missing) = wait::wait(request, plan, place, pending)?;
    if let (Some(first), true) = (missing.first(), plan.config.required) {
        return Err(not_up(first, missing.len()));
    }
    Ok(up.into_iter().chain(late).collect())
}

/// The pod's container of before, if it has one. All links of a container in a network come by one
/// attachment.
fn former(store: &Store, noted: &Record) -> Result<Option<Record>, Error> {
    let (pod, own) = (&noted.pod, noted.owner());
    let Some(other) = store.current(pod)? else {
        return Ok(None);
    };
    let its = other.owner();
    if its.container_id != own.container_id {
        return Ok(Some(other));
    }
    if its.if_name == own.if_name {
        return Ok(None);
    }
    Err(Error::new(
        code::INTERNAL,
        format!(
            "pod {pod:?} has its links of this network by its interface {:?} already: DEL that \
             attachment first",
            its.if_name
        ),
    ))
}

fn not_up(first: &Candidate, number: usize) -> Error {
    let why = first.pending.as_deref().unwrap_or("it is not up");
    let more = match number - 1 {
        0 => String::new(),
        more => format!(", and {more} links more"),
    };
    let what = format!(
        "link to {} is required, but {why}{more}",
        first.link.peer.id()
    );
    Error::new(code::TRY_AGAIN_LATER, what)
}

/// Makes all links at once. What stands in the way in another pod is that pod's affair: it keeps its
/// own link from being made, and no other. What stands in the way on the host is an error.
fn make(
    request: &AddRequest<'_>,
    place: &Place,
    candidates: &mut [Candidate],
    peers: &Peers,
) -> Result<(), Error> {
    let host = meet::host_of(candidates)?;
    let ready = candidates.iter_mut().filter(|it| it.pending.is_none());
    let mut ready: Vec<&mut Candidate> = ready.collect();
    let network = request.network();
    let links: Result<Vec<_>, Error> = (ready.iter())
        .map(|it| meet::for_kernel(network, it, place, host.as_ref(), peers))
        .collect();
    let links = links?;
    // What the pod has of this network beside these is of an ADD that was killed.
    let topology = meet::topology(network);
    if netloom_links::apply_topology(&topology, &[place], &links).is_ok() {
        return Ok(());
    }
    for (candidate, link) in ready.iter_mut().zip(&links) {
        let Err(error) = link.apply() else { continue };
        match &error {
            netloom_links::Error::Foreign { place: there, .. }
                if *there != place.to_string() && !candidate.link.peer.is_on_host() =>
            {
                request.warn(&error.to_string());
                candidate.pending = Some(error.to_string());
            }
            _ => return Err(super::failure(error)),
        }
    }
    Ok(())
}

/// Adds the links to the result: their interfaces, and their addresses only if that was asked for,
/// since runtimes take the first address for the pod's.
fn report(
    result: &mut AddResult,
    plan: &Plan,
    request: &AddRequest<'_>,
    place: &Place,
    up: &[Candidate],
) -> Result<(), Error> {
    for candidate in up {
        let end = &candidate.link.own;
        let look = SetupError::kernel(format!("look up {:?}", end.if_name));
        let Some(link) = place
            .socket()
            .find_link(end.if_name.as_str())
            .map_err(look)?
        else {
            continue;
        };
        result.interfaces.push(Interface {
            mac: link.mac.map(|mac| Mac(mac).to_string()).unwrap_or_default(),
            mtu: link.mtu,
            sandbox: request.netns.to_owned(),
            ..Interface::new(end.if_name.as_str())
        });
        if plan.config.reports_addresses {
            let position = Some(result.interfaces.len() - 1);
            let ips = end.addresses.iter().map(|address| IpConfig {
                interface: position,
                ..IpConfig::new(*address)
            });
            result.ips.extend(ips);
        }
    }
    Ok(())
}
