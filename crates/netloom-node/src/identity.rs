//! Which node this is.

use std::path::Path;

use anyhow::{Context as _, Result};
use netloom_cluster::NodeName;

/// A node: its name, the machine, and the run of its kernel.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) name: NodeName,
    pub(crate) machine: String,
    pub(crate) boot: String,
    /// Which start of the daemon.
    pub(crate) instance: String,
}

/// The node's name: as the user says; the host's name else.
pub(crate) fn node_name(name: Option<&str>) -> Result<NodeName> {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy().into_owned();
    let text = name.unwrap_or(&host);
    NodeName::new(text)
        .with_context(|| format!("{text:?} can be no node's name: --name gives another"))
}

impl Identity {
    /// `name`: as the user says; the host's name else. The machine's id is `/etc/machine-id`, or one that
    /// is made once and kept in `state`.
    pub(crate) fn find(name: Option<&str>, state: &Path) -> Result<Self> {
        let name = node_name(name)?;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .context("cannot read /proc/sys/kernel/random/boot_id")?;
        Ok(Self {
            name,
            machine: machine(state)?,
            boot: boot.trim().to_owned(),
            instance: format!("{:016x}", random()),
        })
    }
}

/// The machine's own id. `state` comes first, so that many nodes on one machine can be told apart.
fn machine(state: &Path) -> Result<String> {
    let kept = state.join("machine-id");
    for path in [kept.as_path(), Path::new("/etc/machine-id")] {
        if let Some(text) = crate::files::read(path, 256)? {
            let text = String::from_utf8_lossy(&text).trim().to_owned();
            if !text.is_empty() && text != "uninitialized" {
                return Ok(text);
            }
        }
    }
    let made = format!("{:016x}{:016x}", random(), random());
    crate::files::write(&kept, &format!("{made}\n"), 0o644)?;
    Ok(made)
}

/// A number that nobody can guess.
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    // The kernel has its randomness when a daemon starts; it waits for it otherwise.
    debug_assert_eq!(filled, Ok(8));
    u64::from_ne_bytes(bytes)
}
