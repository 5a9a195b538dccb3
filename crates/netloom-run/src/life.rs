//! Networks come and go: the ADDs of a pod, at its begin and later.

use serde_json::Value;

use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::Socket;
use netloom_runtime::DelMode;
use netloom_spec::{AddResult, Version};

use crate::error::{Doing, Error, Result};
use crate::{Attachment, Engine, NetworkMode, Phase, Pod, PodState, Store, files};

/// ADD of the network at `index` of the pod's state, which knows of it before it begins.
pub(crate) fn add(pod: &Pod, index: usize, engine: Engine<'_>) -> Result<()> {
    let state = pod.update(|state| state.spec.attachments[index].added = true)?;
    let it = &state.spec.attachments[index];
    let netns = pod.netns().to_string_lossy().into_owned();
    let result = engine(&state.spec.cni)
        .add(&it.list()?, &it.runtime(pod.id(), &netns))
        .doing(|| format!("network {:?}, interface {:?}", it.network, it.if_name))?;
    let result = kept(&result)?;
    pod.update(|state| state.spec.attachments[index].result = Some(result))?;
    Ok(())
}

/// Prints as the newest version, whatever version the configuration has.
fn kept(result: &AddResult) -> Result<Value> {
    result
        .to_value(Version::LATEST)
        .doing(|| "keep the result of ADD")
}

/// Attaches a running pod to one more network. What fails leaves nothing.
///
/// # Errors
/// If the pod does not run, has a namespace of somebody else's, or the ADD fails.
pub fn connect(
    store: &Store,
    pod: &Pod,
    attachment: impl FnOnce(&PodState) -> Result<Attachment>,
    engine: Engine<'_>,
) -> Result<Attachment> {
    let _held = pod.change_networks()?;
    let state = running(pod)?;
    let attachment = attachment(&state)?;
    let mut others = state.spec.attachments.iter();
    if others.any(|it| it.if_name == attachment.if_name && it.added) {
        return Err(Error::new(format!(
            "pod {} has an interface {:?} already",
            pod.short_id(),
            attachment.if_name
        )));
    }
    let index = state.spec.attachments.len();
    pod.update(|state| state.spec.attachments.push(attachment))?;
    if let Err(error) = add(pod, index, engine) {
        let undone = delete(pod, index, engine);
        return Err(match undone {
            Ok(()) => error,
            Err(left) => Error::new(format!("{error}; left: {left}")),
        });
    }
    let state = pod.state()?;
    files::refresh_hosts(store, pod, &state.spec)?;
    Ok(state.spec.attachments[index].clone())
}

/// Detaches a running pod from a network; by the interface's name, if it is there more than once.
///
/// # Errors
/// If the pod is not on it, or a plugin fails: the pod remembers it then.
pub fn disconnect(store: &Store, pod: &Pod, wanted: &str, engine: Engine<'_>) -> Result<()> {
    let _held = pod.change_networks()?;
    let state = running(pod)?;
    let is_meant = |it: &(usize, &Attachment)| it.1.network == wanted || it.1.if_name == wanted;
    let all = || state.spec.attachments.iter().enumerate();
    let found: Vec<_> = all().filter(is_meant).collect();
    match found.as_slice() {
        [(index, _)] => delete(pod, *index, engine)?,
        [] => {
            let there: Vec<_> = all().map(|(_, it)| format!("{:?}", it.network)).collect();
            return Err(Error::new(format!(
                "pod {} is not on network {wanted:?}; it is on: {}",
                pod.short_id(),
                there.join(", ")
            )));
        }
        several => {
            let names: Vec<_> = several.iter().map(|(_, it)| it.if_name.as_str()).collect();
            return Err(Error::new(format!(
                "pod {} is on network {wanted:?} by several interfaces: name one of {}",
                pod.short_id(),
                names.join(", ")
            )));
        }
    }
    files::refresh_hosts(store, pod, &pod.state()?.spec)
}

fn delete(pod: &Pod, index: usize, engine: Engine<'_>) -> Result<()> {
    let state = pod.state()?;
    let it = &state.spec.attachments[index];
    let netns = pod.netns().to_string_lossy().into_owned();
    engine(&state.spec.cni)
        .del_with(
            &it.list()?,
            &it.runtime(pod.id(), &netns),
            DelMode::BestEffort,
        )
        .doing(|| format!("network {:?}, interface {:?}", it.network, it.if_name))?;
    pod.update(|state| drop(state.spec.attachments.remove(index)))?;
    Ok(())
}

fn running(pod: &Pod) -> Result<PodState> {
    let state = pod.state()?;
    if state.phase != Phase::Run || state.spec.network != NetworkMode::Own {
        let why = match state.phase {
            Phase::Run => "has no network namespace of its own",
            _ => "does not run",
        };
        return Err(Error::new(format!("pod {} {why}", pod.short_id())));
    }
    Ok(state)
}

/// Sets `lo` up, which no network does.
pub(crate) fn loopback_up(netns: &Netns) -> Result<()> {
    let up = netloom_kernel::rtnl::LinkChange::new().up();
    Socket::open_in(netns)?.set_link("lo", &up)?;
    Ok(())
}
