//! The throw-away host of a trial, its outside world and its pods.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use netloom_kernel::netns::{self, Netns};
use netloom_kernel::rtnl::{LinkChange, LinkSpec, PeerSpec, RouteSpec, Socket};
use netloom_kernel::unshare;
use netloom_runtime::RuntimeConf;

use super::executed::{Ears, Executed};
use super::subject::Subject;
use crate::command::install;
use crate::environment;
use crate::stage;

const HOST: &str = "203.0.113.2/24";
const OUTSIDE: &str = "203.0.113.1/24";
/// How the ids of the containers begin.
pub(super) const CONTAINER: &str = "try-";
/// netloom's own plugins, where the user has none of that name.
const OWN: &str = "/run/netloom/bin";
/// The user's plugins that the empty `/run` or `/var/lib/cni` would hide.
const CARRIED: &str = "/run/netloom/carried";

/// The host with all that is in it.
pub(super) struct Stage {
    /// Which namespaces it is made of.
    pub(super) kind: &'static str,
    /// Where plugins are searched.
    pub(super) plugin_dirs: Vec<PathBuf>,
    /// The plugins that are netloom's own.
    pub(super) own: Vec<String>,
    /// Links that the configuration wants and that were made up.
    pub(super) made_up: Vec<String>,
    pub(super) pods: Vec<Pod>,
    /// The directories whose files are watched.
    pub(super) directories: Vec<PathBuf>,
    pub(super) executed: Executed,
    /// Keeps the outside alive.
    pub(super) _outside: Netns,
}

/// One pod.
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) netns: Netns,
    pub(super) runtime: RuntimeConf,
}

/// Leaves for namespaces of our own, and furnishes them.
pub(super) fn enter(subject: &Subject, pods: u8) -> Result<Stage> {
    let types = subject.types();
    let carried = carry(subject, &types)?;
    let ears = Ears::new(&subject.plugin_dirs);
    let kind = stage::enter()?;
    let directories = cover(subject)?;
    let outside = stage::outside(HOST.parse()?, OUTSIDE.parse()?)?;
    default_route()?;

    let mut plugin_dirs = put_down(carried)?;
    plugin_dirs.extend(subject.plugin_dirs.iter().cloned());
    let own = own_plugins(&plugin_dirs, &types)?;
    plugin_dirs.push(OWN.into());
    let made_up = make_up(subject, &outside)?;
    let pods = (1..=pods).map(pod).collect::<Result<_>>()?;
    let executed = ears.within(&plugin_dirs);
    Ok(Stage {
        kind,
        plugin_dirs,
        own,
        made_up,
        pods,
        directories,
        executed,
        _outside: outside,
    })
}

/// The plugins that lie below a directory that will be covered, read while they can be seen.
fn carry(
    subject: &Subject,
    types: &std::collections::BTreeSet<String>,
) -> Result<Vec<(String, Vec<u8>)>> {
    let mut carried = Vec::new();
    for name in types {
        let Some(path) = subject.find_plugin(name) else {
            continue;
        };
        let real = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        let hidden = ["/run", "/var/run", "/var/lib/cni"];
        if hidden
            .iter()
            .any(|dir| path.starts_with(dir) || real.starts_with(dir))
        {
            let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            carried.push((name.clone(), bytes));
        }
    }
    Ok(carried)
}

fn put_down(carried: Vec<(String, Vec<u8>)>) -> Result<Vec<PathBuf>> {
    if carried.is_empty() {
        return Ok(Vec::new());
    }
    fs::create_dir_all(CARRIED)?;
    for (name, bytes) in carried {
        let path = Path::new(CARRIED).join(name);
        fs::write(&path, bytes)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(vec![CARRIED.into()])
}

/// Covers what plugins write to with empty directories. Returns what is watched.
fn cover(subject: &Subject) -> Result<Vec<PathBuf>> {
    let mut watched: Vec<PathBuf> = vec!["/run".into()];
    let mut tmpfs = |directory: &str| -> Result<()> {
        unshare::mount_tmpfs(directory)?;
        watched.push(directory.into());
        Ok(())
    };
    // An ordinary user cannot make the directory, and so covers the one above.
    if Path::new("/var/lib/cni").is_dir() || !unshare::needs_user_namespace() && is_writable() {
        tmpfs("/var/lib/cni")?;
    } else {
        tmpfs("/var/lib")?;
    }
    if Path::new("/etc/cni").is_dir() {
        tmpfs("/etc/cni")?;
    }
    // Where something that is needed lies in /tmp it stays as it is, and is not watched.
    let here = std::env::current_dir().unwrap_or_default();
    let mut needed = subject.plugin_dirs.iter().chain([&here]);
    if !needed.any(|path| path.starts_with("/tmp")) {
        tmpfs("/tmp")?;
    }
    Ok(watched)
}

/// Whether `/var/lib/cni` can be made.
fn is_writable() -> bool {
    fs::create_dir_all("/var/lib/cni").is_ok()
}

/// A host has a way to the world.
fn default_route() -> Result<()> {
    let socket = Socket::open()?;
    let uplink = socket.get_link("up0")?;
    let gateway: ipnet::IpNet = OUTSIDE.parse()?;
    let route = RouteSpec::to("0.0.0.0/0".parse()?)
        .via(gateway.addr())
        .device(uplink.index);
    Ok(socket.add_route(&route)?)
}

/// Installs those of netloom's plugins that the configuration names and the user does not have.
fn own_plugins(
    dirs: &[PathBuf],
    types: &std::collections::BTreeSet<String>,
) -> Result<Vec<String>> {
    let known: Vec<&str> = netloom_plugins::registry::PLUGINS
        .iter()
        .map(|plugin| plugin.name())
        .collect();
    let is_there = |name: &str| dirs.iter().any(|dir| dir.join(name).is_file());
    let names: Vec<&str> = types.iter().map(String::as_str).collect();
    let wanted = |name: &&str| known.contains(name) && !is_there(name);
    let names: Vec<&str> = names.into_iter().filter(wanted).collect();
    if !names.is_empty() {
        install::into(Path::new(OWN), &names, false)?;
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// Makes the links that plugins stand on: ends of cables to the outside.
fn make_up(subject: &Subject, outside: &Netns) -> Result<Vec<String>> {
    let socket = Socket::open()?;
    let mut made = Vec::new();
    for (number, name) in (1..).zip(subject.lower_links()) {
        if socket.find_link(&name)?.is_some() {
            continue;
        }
        let peer = format!("cable{number}");
        let link = LinkSpec::veth(&name, PeerSpec::new(&peer).in_netns(outside)).up();
        socket
            .create_link(&link)
            .with_context(|| format!("make up the link {name:?} that the configuration names"))?;
        let beyond = Socket::open_in(outside)?;
        beyond.set_link(beyond.get_link(&peer)?.index, &LinkChange::new().up())?;
        made.push(name);
    }
    Ok(made)
}

fn pod(number: u8) -> Result<Pod> {
    let name = format!("pod{number}");
    let path = Path::new(stage::RUN).join("netns").join(&name);
    let netns = netns::create_at(&path)?;
    let inside = Socket::open_in(&netns)?;
    inside.set_link("lo", &LinkChange::new().up())?;
    let mut runtime =
        RuntimeConf::new(format!("{CONTAINER}{name}"), path.to_string_lossy(), "eth0");
    runtime.args = environment::cni_args()?;
    runtime.capability_args = environment::capability_args()?;
    Ok(Pod {
        name,
        path,
        netns,
        runtime,
    })
}
