//! The throw-away host that the bench runs in, seen from inside, and its pods.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::fs::CWD;
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags, mount, move_mount, open_tree};

use super::side::{Pod, Side};
use crate::process;

/// A namespace for all pods of which only addresses are asked: plugins refuse to work on the host's own.
pub(crate) const SPARE: &str = "/run/netns/spare";

const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// Puts memory over the places where plugins keep state, so that the machine's own stays out of reach.
pub(crate) fn prepare() -> Result<()> {
    for folder in ["/run", "/var/lib"] {
        mount("tmpfs", folder, "tmpfs", MountFlags::empty(), c"mode=0755")
            .with_context(|| format!("cannot mount a tmpfs on {folder}"))?;
    }
    // Container engines want control groups, which are mounted there.
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let groups = open_tree(CWD, CONTROL_GROUPS, flags);
    // So that it shows this network namespace.
    mount("sysfs", "/sys", "sysfs", MountFlags::RDONLY, None).context("cannot mount sysfs")?;
    if let Ok(groups) = groups {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(groups, "", CWD, CONTROL_GROUPS, flags)
            .context("cannot mount the control groups again")?;
    }
    ip(&["link", "set", "lo", "up"])?;
    ip(&["netns", "add", "spare"])
}

/// An `ip` command; not part of any measurement.
pub(crate) fn ip(arguments: &[&str]) -> Result<()> {
    process::run(Command::new("ip").args(arguments))
}

/// Makes a pod. It stays until the host goes: taking it down would keep the kernel busy beside the next measurement.
pub(crate) fn pod(scenario: &str, side: &str, number: u16) -> Result<Pod> {
    let name = format!("{scenario}-{side}-{number}");
    ip(&["netns", "add", &name])?;
    let netns = Path::new("/run/netns").join(name);
    Ok(Pod {
        id: container_id(scenario, side, number),
        netns,
        number,
    })
}

/// As long as the ids of real runtimes.
pub(crate) fn container_id(scenario: &str, side: &str, number: u16) -> String {
    // The number has a fixed width: padding must not make 1 into 10.
    format!("{:0<64}", format!("{scenario}-{side}-{number:05}"))
}

/// A bridge as the plugins leave it: with the gateway's address, up.
pub(crate) fn bridge(name: &str, address: &str) -> Result<()> {
    ip(&["link", "add", name, "type", "bridge"])?;
    let accept_ra = format!("/proc/sys/net/ipv6/conf/{name}/accept_ra");
    fs::write(&accept_ra, "0").with_context(|| format!("write {accept_ra}"))?;
    ip(&["addr", "add", address, "dev", name])?;
    ip(&["link", "set", name, "up"])
}

/// A link of the host for others to stand on.
pub(crate) fn parent(name: &str) -> Result<()> {
    ip(&["link", "add", name, "type", "veth", "peer", "name", "far0"])?;
    ip(&["link", "set", "far0", "up"])?;
    ip(&["link", "set", name, "up"])
}

/// Whatever bridges a scenario left: the next one wants new ones.
pub(crate) fn remove_bridges() {
    for side in [Side::Ours, Side::Peer, Side::Floor] {
        let name = bridge_name(side);
        if Path::new("/sys/class/net").join(name).exists() {
            // If this fails, the next scenario says so.
            let _ = ip(&["link", "del", name]);
        }
    }
}

pub(crate) fn bridge_name(side: Side) -> &'static str {
    match side {
        Side::Ours => "br-ours",
        Side::Peer => "br-peer",
        Side::Floor => "br-floor",
    }
}

/// The standing rule of the floor's masquerade: all that is in a set.
pub(crate) fn masquerade(table: &str, set: &str) -> Result<()> {
    let rules = format!(
        "table inet {table} {{ set {set} {{ type ipv4_addr; }}; \
         chain post {{ type nat hook postrouting priority 100; ip saddr @{set} masquerade; }}; }}"
    );
    process::run(Command::new("nft").arg(rules))
}

/// As many published ports as the Go plugins leave them, without their taking part: they would need minutes.
pub(crate) fn publish_by_iptables(side: Side, count: u32, netns: Option<&str>) -> Result<()> {
    let mut script = String::from("*nat\n:CNI-HOSTPORT-DNAT - [0:0]\n");
    for number in 0..count {
        let (port, chain) = (20_000 + number, format!("CNI-DN-{number:021x}"));
        script += &format!(
            ":{chain} - [0:0]\n\
             -A CNI-HOSTPORT-DNAT -p tcp -m comment --comment \"dnat name: \\\"{name}\\\" id: \\\"stays\\\"\" \
             -m multiport --destination-ports {port} -j {chain}\n\
             -A {chain} -p tcp -m tcp --dport {port} -j DNAT --to-destination {network}.0.9:80\n",
            name = side.name(),
            network = side.network(),
        );
    }
    script += "COMMIT\n";
    let mut command = match netns {
        None => Command::new("iptables-restore"),
        Some(netns) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", netns, "iptables-restore"]);
            command
        }
    };
    let mut restore = command
        .arg("--noflush")
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot run iptables-restore")?;
    let mut stdin = restore.stdin.take().context("a piped stdin is there")?;
    stdin.write_all(script.as_bytes())?;
    drop(stdin);
    ensure!(restore.wait()?.success(), "iptables-restore failed");
    Ok(())
}

/// An empty folder, whatever an earlier run left there.
pub(crate) fn empty(folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_container_has_an_id_of_its_own() {
        let mut ids: Vec<String> = (0..1000)
            .map(|number| container_id("bridge", "ours", number))
            .collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 64));
    }
}
