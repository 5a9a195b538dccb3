//! The cluster's daemon and its plugin, with a real etcd: all in the throw-away host, which is the node.

mod claim;
mod daemon;
mod gateway;
mod peers;
mod routes;
mod store;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use rustix::mount::{UnmountFlags, mount_bind, unmount};

use super::Order;
use super::host;
use crate::process;
use daemon::Daemon;
use store::Store;

pub(crate) use claim::measure as claims;
pub(crate) use peers::measure as peers;

/// The link by which others would reach this node, and its other end.
const UPLINK: [&str; 2] = ["uplink0", "uplink1"];
/// The plugin's files.
const GRANTS: &str = "/var/lib/cni/netloom-cluster";
/// What the daemon remembers.
const STATE: &str = "/var/lib/netloom";
/// Where the pod network's records are.
const NETWORK: &str = "/coreos.com/network";

/// A node that has joined a store of its own. Its parts end with it, the first one first.
pub(crate) struct Node {
    _daemon: Daemon,
    store: Store,
    _ground: Ground,
}

impl Node {
    /// Starts etcd and the daemon; pods can start on the node then.
    pub(crate) fn start(order: &Order, members: u8) -> Result<Self> {
        let ground = Ground::prepare(order)?;
        let store = Store::start(&order.state.join("etcd"), members)?;
        let config = r#"{"Network":"10.200.0.0/16","Backend":{"Type":"host-gw"}}"#;
        store.connect()?.put(&[(config_key(), config.into())])?;
        let mut daemon = Daemon::start(order, &store.url())?;
        daemon.until("pods can start")?;
        Ok(Self {
            _daemon: daemon,
            store,
            _ground: ground,
        })
    }
}

fn config_key() -> String {
    format!("{NETWORK}/config")
}

/// What a daemon stands on: a link, and folders on the disk.
struct Ground;

impl Ground {
    fn prepare(order: &Order) -> Result<Self> {
        let [near, far] = UPLINK;
        host::ip(&["link", "add", near, "type", "veth", "peer", "name", far])?;
        let ground = Self;
        host::ip(&["link", "set", far, "up"])?;
        host::ip(&["addr", "add", "172.20.0.1/16", "dev", near])?;
        host::ip(&["link", "set", near, "up"])?;
        let grants = host::empty(&order.state.join("grants"))?;
        fs::create_dir_all(GRANTS)?;
        mount_bind(&grants, GRANTS).with_context(|| format!("cannot mount {GRANTS}"))?;
        fs::create_dir_all("/run/netloom")?;
        fs::create_dir_all(order.state.join("conf"))?;
        fresh()?;
        Ok(ground)
    }
}

impl Drop for Ground {
    /// If this fails, the next scenario says so.
    fn drop(&mut self) {
        let _ = host::ip(&["link", "del", UPLINK[0]]);
        let _ = unmount(GRANTS, UnmountFlags::DETACH);
    }
}

/// Has the node remember nothing but which machine it is.
fn fresh() -> Result<()> {
    host::empty(Path::new(STATE))?;
    fs::write(Path::new(STATE).join("machine-id"), "machine-1\n").context("the machine's id")
}

/// A program that stays beside what is measured: in a process group of its own, so that nobody waits for it as for
/// what a plugin left, and killed when the bench ends.
fn beside(program: &Path, arguments: &[String]) -> Result<Child> {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--"])
        .arg(program)
        .args(arguments)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command.spawn().with_context(|| process::shown(&command))
}
