//! CHECK: the delegate's, and every link that should be up.

use super::del::with_result;
use super::meet;
use super::plan::Plan;
use super::record::Record;
use super::store::Store;
use crate::wiring::check::mismatch;
use crate::wiring::owner::Owner;
use crate::wiring::{SetupError, sandbox};
use netloom_links::{Place, Seen};
use netloom_plugin::CheckRequest;
use netloom_spec::Error;

pub(super) fn check(request: &CheckRequest<'_>) -> Result<(), Error> {
    request.prev_result()?;
    let plan = Plan::new(request.conf, request.args, request.if_name.as_str())?;
    let store = Store::of(&plan.config.store, request.network())?;
    let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
    let lock = store.lock_if_there()?;
    let found = match &lock {
        Some(_) => store.record_of(owner)?,
        None => None,
    };
    if plan.delegate().is_some() {
        let conf = found.as_ref().and_then(Record::delegate);
        let conf = conf.ok_or_else(|| no_record(owner, &plan))?;
        let conf = with_result(conf, request.conf);
        request
            .delegate(conf.plugin_type())
            .with_conf(conf)
            .check()?;
    }
    let Some(pod) = plan.participant() else {
        return Ok(());
    };
    let _lock = lock;
    let found = found.ok_or_else(|| no_record(owner, &plan))?;
    let netns = sandbox::open(request.netns)?;
    let id = netns
        .id()
        .map_err(SetupError::kernel("identify the namespace"))?;
    let place = found
        .open_place(store.boot())?
        .filter(|place| place.id() == id);
    let place = place.ok_or_else(|| {
        mismatch(format!(
            "pod {pod:?} was attached in {:?}, and {:?} is another namespace",
            found.netns(),
            request.netns
        ))
    })?;
    check_links(request, &plan, pod, &store, &place)
}

fn check_links(
    request: &CheckRequest<'_>,
    plan: &Plan,
    pod: &str,
    store: &Store,
    place: &Place,
) -> Result<(), Error> {
    let (candidates, peers) = meet::candidates(meet::Asks::of(plan), pod, store)?;
    let host = meet::host_of(&candidates)?;
    for candidate in &candidates {
        if let Some(why) = &candidate.pending {
            if plan.config.required {
                let peer = candidate.link.peer.id();
                return Err(mismatch(format!("link to {peer} is not up: {why}")).into());
            }
            continue;
        }
        let link = meet::for_kernel(request.network(), candidate, place, host.as_ref(), &peers)?;
        match link.look().map_err(super::failure)? {
            Seen::AsWanted => {}
            Seen::Absent => {
                let what = format!("link to {} is not there", candidate.link.peer.id());
                return Err(mismatch(what).into());
            }
            Seen::Differs(words) | Seen::Broken(words) => {
                let (peer, words) = (candidate.link.peer.id(), words.join("; "));
                return Err(mismatch(format!("link to {peer}: {words}")).into());
            }
        }
    }
    Ok(())
}

fn no_record(owner: Owner<'_>, plan: &Plan) -> SetupError {
    mismatch(format!(
        "no record of container {:?} and interface {:?} in {}",
        owner.container_id,
        owner.if_name,
        plan.config.store.display()
    ))
}
