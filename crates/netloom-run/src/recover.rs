//! What is done for pods whose shim is dead, by whoever comes next.

use crate::error::{Result, status};
use crate::{Engine, Phase, Pod, Store, finish};

/// Ends every pod whose shim is gone while it should live: kills what is left of it, deletes its networks.
/// A pod that was only being made, or that was to be removed at its end, is forgotten. Returns a line for
/// each, about what was done.
///
/// # Errors
/// If the pods cannot be looked at. What goes wrong with one of them is in its line.
pub fn finish_dead(store: &Store, engine: Engine<'_>) -> Result<Vec<String>> {
    let Some(guard) = store.guard()? else {
        return Ok(Vec::new());
    };
    store.sweep();
    let mut dead = Vec::new();
    for pod in store.list()? {
        // One that has ended is left alone: to hold its lock for a moment would make it seem to run.
        if pod.state().is_ok_and(|state| has_ended(state.phase)) {
            continue;
        }
        // Whoever makes one holds the guard until it is locked.
        if let Ok(Some(held)) = pod.try_hold() {
            dead.push((pod, held));
        }
    }
    drop(guard);
    let mut lines = Vec::new();
    for (pod, _held) in &dead {
        match one(store, pod, engine) {
            Ok(None) => {}
            Ok(Some(line)) => lines.push(format!("pod {}: {line}", pod.short_id())),
            Err(error) => lines.push(format!("pod {}: {error}", pod.short_id())),
        }
    }
    Ok(lines)
}

fn has_ended(phase: Phase) -> bool {
    matches!(phase, Phase::Exited | Phase::Garbage)
}

fn one(store: &Store, pod: &Pod, engine: Engine<'_>) -> Result<Option<String>> {
    if !pod.dir().join("pod.json").exists() {
        // Killed before it was anything, or while it was forgotten.
        pod.remove()?;
        return Ok(None);
    }
    let state = pod.state()?;
    if has_ended(state.phase) {
        return Ok(None);
    }
    if let Some(init) = state.init {
        init.kill();
    }
    let forget = state.phase == Phase::Embryo || state.spec.remove;
    let status = state.status.unwrap_or(status::KILLED);
    pod.update(|state| state.status = Some(status))?;
    pod.tell_status(status)?;
    let ended = finish(store, pod, engine, forget)?;
    Ok(Some(match ended.left.as_slice() {
        [] => "its shim was killed; its networks are deleted now".to_owned(),
        left => format!("its shim was killed; left: {}", left.join("; ")),
    }))
}
