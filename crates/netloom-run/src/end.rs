//! The end of a pod: its networks are deleted, last first, whatever fails.

use netloom_runtime::DelMode;

use crate::engine::end as end_container;
use crate::error::{Doing, Error, Result};
use crate::{Engine, Phase, Pod, PodState, Store, files, private_host};

/// What is left of a pod that has ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// What could not be taken away, a line each. The pod is kept then, so that it can be tried again.
    pub left: Vec<String>,
}

/// Deletes the networks, the namespace, and with `forget` the pod itself. The caller holds the pod's lock,
/// and nothing of the pod runs any more. May be repeated.
///
/// # Errors
/// If the state cannot be read or written; nothing is forgotten then.
pub fn finish(store: &Store, pod: &Pod, engine: Engine<'_>, forget: bool) -> Result<Ended> {
    let _held = pod.change_networks()?;
    let state = pod.state()?;
    let mut left: Vec<String> = end_container(pod, &state).err().into_iter().collect();
    for index in (0..state.spec.attachments.len()).rev() {
        if let Err(error) = delete(pod, &state, index, engine) {
            left.push(error);
        }
    }
    if let Err(error) = private_host::way_out::withdraw(&state.spec.ports) {
        left.push(error.to_string());
    }
    if let Err(error) = netloom_kernel::netns::remove_at(pod.netns()) {
        left.push(error.to_string());
    }
    let phase = match left.is_empty() {
        true => Phase::Exited,
        false => Phase::Garbage,
    };
    if forget && left.is_empty() {
        pod.remove()?;
    } else {
        pod.update(|state| {
            state.phase = phase;
            state.left.clone_from(&left);
        })?;
    }
    // What others know of its name is a convenience.
    let _ = files::tell_peers(store, pod, &state.spec);
    Ok(Ended { left })
}

/// DEL of one network, if there was an ADD.
fn delete(pod: &Pod, state: &PodState, index: usize, engine: Engine<'_>) -> Result<(), String> {
    let it = &state.spec.attachments[index];
    if !it.added {
        return Ok(());
    }
    let delete = || -> Result<()> {
        let netns = pod.netns().to_string_lossy().into_owned();
        let runtime = it.runtime(pod.id(), &netns);
        let list = it.list()?;
        engine(&state.spec.cni).del_with(&list, &runtime, DelMode::BestEffort)?;
        pod.update(|state| state.spec.attachments[index].added = false)?;
        Ok(())
    };
    delete()
        .doing(|| format!("network {:?}, interface {:?}", it.network, it.if_name))
        .map_err(|error| error.words)
}

/// Forgets a pod that has ended; with `force` one that runs as well, which is killed, and one of whose
/// networks something could not be deleted. Returns what stays then, a line each.
///
/// # Errors
/// If the pod runs, or something cannot be deleted, and it is not forced.
pub fn remove(store: &Store, pod: &Pod, force: bool, engine: Engine<'_>) -> Result<Vec<String>> {
    match remove_what_is_there(store, pod, force, engine) {
        // Its shim was faster.
        Err(_) if force && !pod.is_there() => Ok(Vec::new()),
        removed => removed,
    }
}

fn remove_what_is_there(
    store: &Store,
    pod: &Pod,
    force: bool,
    engine: Engine<'_>,
) -> Result<Vec<String>> {
    let mut held = pod.try_hold()?;
    if held.is_none() {
        let state = pod.state()?;
        if !force {
            return Err(Error::new(format!(
                "pod {} runs: `netloom stop {0}` first, or `netloom rm -f {0}`",
                pod.short_id()
            )));
        }
        if let Some(init) = state.init {
            init.kill();
        }
        // The shim ends it, and with `--rm` forgets it. So does the next call if the shim is gone.
        pod.wait()?;
        held = match pod.state() {
            Ok(_) => pod.try_hold()?,
            Err(_) => return Ok(Vec::new()),
        };
    }
    if force && let Err(unreadable) = pod.state() {
        netloom_kernel::netns::remove_at(pod.netns())?;
        pod.remove()?;
        return Ok(vec![format!(
            "{unreadable}; what its networks hold is for `netloom gc`"
        )]);
    }
    let ended = finish(store, pod, engine, true)?;
    drop(held);
    if !ended.left.is_empty() && force {
        pod.remove()?;
    } else if !ended.left.is_empty() {
        return Err(Error::new(format!(
            "pod {}: {}; `netloom rm -f {0}` forgets it all the same",
            pod.short_id(),
            ended.left.join("; ")
        )));
    }
    Ok(ended.left)
}
