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

/// Has the engine end a container whose client did not: it outlives it, in a namespace that is about to go.
pub(crate) fn end(pod: &Pod, state: &PodState) -> Result<(), String> {
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
    command.stdin(Stdio::null()).stdout(Stdio::null());
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!(
            "{} stop {}: {}",
            call.program,
            id.trim(),
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Err(format!("cannot execute {:?}: {error}", call.program)),
    }
}

/// Where the engine writes the container's id.
fn id_file(dir: &Path) -> PathBuf {
    dir.join("cid")
}
