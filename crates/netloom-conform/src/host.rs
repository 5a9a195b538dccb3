//! The throw-away host of a case.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use netloom_kernel::netns::{self, Netns};
use netloom_kernel::rtnl::{LinkChange, LinkSpec, PeerSpec, RouteSpec, Socket};
use netloom_kernel::unshare::{self, Isolation};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, mount_bind_recursive};

use crate::stop::{Check, Stop};
use crate::subject::Subject;

/// The kit's own files on the host.
pub(crate) const OWN: &str = "/run/conform";
const HOST: &str = "203.0.113.2/24";
const OUTSIDE: &str = "203.0.113.1/24";

/// What the host is, beside the namespaces of the calling thread.
pub(crate) struct Host {
    /// The plugin, where the host shows it.
    pub(crate) plugin: PathBuf,
    /// The directories of delegates, where the host shows them.
    pub(crate) path: Vec<PathBuf>,
    /// The directories whose files are watched.
    pub(crate) watched: Vec<PathBuf>,
    /// Keeps the outside alive.
    _outside: Netns,
}

/// Leaves for namespaces of our own, which end with the process.
pub(crate) fn enter(subject: &Subject) -> Check<Host> {
    let plugin_dir = subject.plugin.parent().unwrap_or(Path::new("/"));
    let places = [plugin_dir.to_owned()]
        .into_iter()
        .chain(subject.path.clone());
    leave()?;
    // Of another mount namespace nothing could be mounted here.
    let mut places: Vec<Carried> = places.map(Carried::open).collect();
    let watched = cover(&places)?;
    std::fs::create_dir_all(Path::new(OWN).join("bin"))?;
    for (number, place) in places.iter_mut().enumerate() {
        place.put_down(number)?;
    }
    let outside = furnish(subject)?;
    let mut places = places.into_iter().map(|it| it.path);
    let plugin = places.next().unwrap_or_default();
    let plugin = plugin.join(subject.plugin.file_name().unwrap_or_default());
    Ok(Host {
        plugin,
        path: places.collect(),
        watched,
        _outside: outside,
    })
}

/// The user namespace makes it work without root; where the kernel refuses them, root does without.
fn leave() -> Check {
    let own = |user| {
        unshare::host(Isolation {
            user,
            mounts: true,
            uts: true,
        })
    };
    match own(true) {
        Ok(()) => Ok(()),
        Err(_) if !unshare::needs_user_namespace() => Ok(own(false)?),
        Err(error) => Err(Stop::Broken(format!(
            "a throw-away host needs root, or a kernel that allows unprivileged user namespaces \
             (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns): {error}"
        ))),
    }
}

/// Covers what plugins write to with empty directories. Returns what is watched.
fn cover(places: &[Carried]) -> Check<Vec<PathBuf>> {
    let mut watched = Vec::new();
    let mut tmpfs = |directory: &str| -> Check {
        unshare::mount_tmpfs(directory)?;
        watched.push(directory.into());
        Ok(())
    };
    tmpfs("/run")?;
    let state = Path::new("/var/lib/cni");
    let is_there = state.is_dir()
        || !unshare::needs_user_namespace() && std::fs::create_dir_all(state).is_ok();
    tmpfs(if is_there { "/var/lib/cni" } else { "/var/lib" })?;
    if Path::new("/etc/cni").is_dir() {
        tmpfs("/etc/cni")?;
    }
    // Where the plugin lies below /tmp, its parents may matter to it: then that is not watched.
    if !places.iter().any(|it| it.path.starts_with("/tmp")) {
        tmpfs("/tmp")?;
    }
    Ok(watched)
}

/// A directory that is needed though what it lies in may be covered.
struct Carried {
    path: PathBuf,
    directory: Option<OwnedFd>,
}

impl Carried {
    fn open(path: PathBuf) -> Self {
        let real = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        let is_hidden = ["/run", "/var/lib/cni"]
            .iter()
            .any(|dir| real.starts_with(dir));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = || rustix::fs::open(&real, flags, Mode::empty()).ok();
        let directory = if is_hidden { open() } else { None };
        Self { path, directory }
    }

    fn put_down(&mut self, number: usize) -> Check {
        let Some(directory) = self.directory.take() else {
            return Ok(());
        };
        let place = Path::new(OWN).join(format!("carried{number}"));
        std::fs::create_dir(&place)?;
        let source = format!("/proc/self/fd/{}", directory.as_raw_fd());
        mount_bind_recursive(source, &place).map_err(std::io::Error::from)?;
        self.path = place;
        Ok(())
    }
}

/// The outside world, the links that the configuration names, and what the author asked for.
fn furnish(subject: &Subject) -> Check<Netns> {
    let socket = Socket::open()?;
    socket.set_link("lo", &LinkChange::new().up())?;
    let outside = netns::create_at("/run/netns/outside")?;
    let beyond = Socket::open_in(&outside)?;
    let cable = |name: &str, peer: &str| -> Check<u32> {
        let spec = LinkSpec::veth(name, PeerSpec::new(peer).in_netns(&outside)).up();
        let made = socket.create_link(&spec)?;
        beyond.set_link(peer, &LinkChange::new().up())?;
        Ok(made.index)
    };
    let parse = |text: &str| {
        text.parse::<ipnet::IpNet>()
            .map_err(|it| Stop::Broken(it.to_string()))
    };
    let uplink = cable("up0", "out0")?;
    socket.add_address(uplink, parse(HOST)?)?;
    beyond.add_address(beyond.get_link("out0")?.index, parse(OUTSIDE)?)?;
    let default = RouteSpec::to(parse("0.0.0.0/0")?);
    socket.add_route(&default.via(parse(OUTSIDE)?.addr()).device(uplink))?;
    for (number, name) in lower_links(subject).into_iter().enumerate() {
        if socket.find_link(name.as_str())?.is_none() {
            cable(&name, &format!("cable{number}"))?;
        }
    }
    for (path, text) in &subject.files {
        let path = Path::new(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, text)?;
    }
    if let Some(line) = &subject.setup {
        let output = Command::new("/bin/sh").args(["-c", line]).output()?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(Stop::Broken(format!(
                "the setup {line:?} failed: {}",
                words.trim()
            )));
        }
    }
    Ok(outside)
}

/// The links of the host that the plugin stands on, as `master` or `device` names them.
pub(crate) fn lower_links(subject: &Subject) -> Vec<String> {
    let named = ["master", "device"]
        .iter()
        .filter_map(|key| subject.conf.get(key)?.as_str());
    named
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Mounts a file system without a free byte over a directory, or one that cannot be written.
pub(crate) fn break_directory(directory: &str, how: &str) -> Check {
    std::fs::create_dir_all(directory)?;
    let options = match how {
        "full" => c"mode=0755,size=4k",
        _ => c"mode=0755",
    };
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("tmpfs", directory, "tmpfs", flags, Some(options))
        .map_err(std::io::Error::from)?;
    match how {
        "full" => Ok(std::fs::write(
            Path::new(directory).join("ballast"),
            [0; 4096],
        )?),
        _ => {
            let flags = flags | MountFlags::RDONLY;
            Ok(
                rustix::mount::mount_remount(directory, flags, c"")
                    .map_err(std::io::Error::from)?,
            )
        }
    }
}
