//! Pods whose command a container engine runs, in a network namespace that is ours.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use netloom_kernel::signal_fd;

use crate::error::{Error, Result, status};
use crate::{EngineCall, Pod, PodState};

/// Becomes the engine's client. Returns only if that failed.
pub(crate) fn become_client(call: &EngineCall, netns: &Path, dir: &Path) -> Error {
    signal_fd::unblock_all();
    let cause = Command::new(&call.program)
        .args(["run", "--network", &format!("ns:{}", netns.display())])
        .arg("--cidfile")
        .arg(id_file(dir))
        .args(&call.arguments)
        .exec();
    Error::with_status(
        status::NOT_STARTED,
        format!("cannot execute {:?}: {cause}", call.program),
    )
}

/// Where an OCI runtime keeps what it knows of the pod.
pub(crate) fn runtime_root(dir: &Path) -> PathBuf {
    dir.join("runtime")
}

/// Has an engine or a runtime end a container whose client did not: it outlives it, in a namespace that is
/// about to go.
pub(crate) fn end(pod: &Pod, state: &PodState) -> Result<(), String> {
    let root = runtime_root(pod.dir());
    if let Some(runtime) = &state.spec.runtime
        && root.join(pod.id()).exists()
    {
        let mut command = Command::new(&runtime.program);
        command
            .arg("--root")
            .arg(&root)
            .args(["delete", "--force", pod.id()]);
        return finished(command, &runtime.program);
    }
    let Some(call) = &state.spec.engine else {
        return Ok(());
    };
    let is_over = state
        .status
        .is_some_and(|status| status < status::BY_SIGNAL);
    let Ok(id) = std::fs::read_to_string(id_file(pod.dir())) else {
        return Ok(());
    };
    if is_over || id.trim().is_empty() {
        return Ok(());
    }
    let mut command = Command::new(&call.program);
    command.args(["stop", "--ignore", "--time", "2", id.trim()]);
    finished(command, &call.program)
}

fn finished(mut command: Command, program: &str) -> Result<(), String> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!(
            "{program} could not end the container: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Err(format!("cannot execute {program:?}: {error}")),
    }
}

/// Where the engine writes the container's id.
fn id_file(dir: &Path) -> PathBuf {
    dir.join("cid")
}
