//! The keeper: makes the namespaces of a user's own host, furnishes them, and ends with the last user.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_bind};
use rustix::process::{Signal, WaitOptions, wait};
use serde::{Deserialize, Serialize};

use netloom_kernel::signal_fd::SignalFd;
use netloom_kernel::unshare;

use super::INSIDE;
use crate::channel::Channel;
use crate::error::{Doing, Error, Result};
use crate::process;

/// The role's name on the command line, and what follows it: the channel's descriptor, and one that is to
/// stay open as long as the keeper lives.
pub const VERB: &str = "pod-host";

/// What the keeper is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    /// The user's directory.
    pub(super) dir: PathBuf,
    /// The name server of the way out, if it has one of its own.
    pub(super) name_server: Option<String>,
}

/// What each of the two tells the other.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Answer {
    Done,
    /// The keeper's number outside.
    Keeper(i32),
    Failed(String),
}

/// The role of the host's first process, and what follows it, which is the same.
pub const FIRST: &str = "pod-host-first";

/// Makes the namespaces, and starts their first process.
pub fn main(channel: OwnedFd, open: OwnedFd) -> u8 {
    let _ = rustix::process::setsid();
    let mut channel = Channel::from_descriptor(channel);
    let Ok(Some(setup)) = channel.receive::<Setup>() else {
        return 1;
    };
    let started = namespaces(&mut channel).and_then(|()| {
        let (mut first, theirs) = Channel::pair()?;
        let passed = [
            channel.socket().as_fd(),
            open.as_fd(),
            theirs.socket().as_fd(),
        ];
        let child = process::helper(FIRST, &passed, |_| {})?;
        let pid = i32::try_from(child.id()).doing(|| "name the keeper")?;
        channel.send(&Answer::Keeper(pid))?;
        first.send(&setup)
    });
    match started {
        Ok(()) => 0,
        Err(error) => {
            let _ = channel.send(&Answer::Failed(error.words));
            1
        }
    }
}

fn namespaces(channel: &mut Channel) -> Result<()> {
    unshare::user_host().map_err(|error| {
        Error::new(format!(
            "{error}: this kernel lets only root make hosts \
             (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"
        ))
    })?;
    channel.send(&Answer::Done)?;
    match channel.receive::<Answer>()? {
        Some(Answer::Done) => Ok(()),
        _ => Err(Error::new("whoever started the keeper is gone")),
    }
}

/// Furnishes the host and keeps it. `open` stays open as long.
pub fn first(channel: OwnedFd, open: OwnedFd, starter: OwnedFd) -> u8 {
    let mut channel = Channel::from_descriptor(channel);
    let Ok(Some(setup)) = Channel::from_descriptor(starter).receive::<Setup>() else {
        return 1;
    };
    let users = match furnish(&setup) {
        Ok(users) => users,
        Err(error) => {
            let _ = channel.send(&Answer::Failed(error.words));
            return 1;
        }
    };
    let reaped = SignalFd::listen(&[Signal::CHILD]);
    let told = channel.send(&Answer::Done);
    drop(channel);
    if let (Ok(()), Ok(children)) = (told, reaped) {
        std::thread::spawn(move || collect(&children));
        // Whoever comes now waits until this process has ended.
        while let Err(Errno::INTR) = rustix::fs::flock(&users, FlockOperation::LockExclusive) {}
        // The lock is free before the process is gone: nobody is to take it for a keeper until then.
        let _ = fs::remove_file(Path::new(INSIDE).join("keeper"));
    }
    drop(open);
    0
}

/// Shims whose foreground has ended are children of the first process.
fn collect(children: &SignalFd) {
    loop {
        let mut polled = [PollFd::new(children, PollFlags::IN)];
        let _ = rustix::event::poll(&mut polled, None);
        while children.next().is_some() {}
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
    }
}

fn furnish(setup: &Setup) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let users = rustix::fs::open(setup.dir.join("users"), flags, Mode::empty())
        .doing(|| format!("open {:?}", setup.dir))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", "/proc", "proc", flags, None).doing(|| "mount proc on \"/proc\"")?;
    cover(setup)?;
    let up = netloom_kernel::rtnl::LinkChange::new().up();
    netloom_kernel::rtnl::Socket::open()?.set_link("lo", &up)?;
    Ok(users)
}

/// What plugins and pods write to is empty at first, and the host's own.
fn cover(setup: &Setup) -> Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(&setup.dir, flags, Mode::empty())
        .doing(|| format!("open {:?}", setup.dir))?;
    let resolver = fs::canonicalize("/etc/resolv.conf").ok();
    let text = match &setup.name_server {
        Some(server) => format!("nameserver {server}\n"),
        None => fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
    };
    unshare::mount_tmpfs("/run")?;
    // Somewhere to mount on is missing where nobody has used CNI yet.
    if !Path::new("/var/lib/cni").is_dir() {
        unshare::mount_tmpfs("/var/lib")?;
    }
    unshare::mount_tmpfs("/var/lib/cni")?;
    fs::create_dir_all(INSIDE).doing(|| format!("make {INSIDE:?}"))?;
    mount_bind(format!("/proc/self/fd/{}", dir.as_raw_fd()), INSIDE)
        .doing(|| format!("mount on {INSIDE:?}"))?;
    keep_pods()?;
    if let Some(path) = resolver {
        name_servers(&path, &text)?;
    }
    // Without it /sys tells of the links of another namespace, which nothing here asks for.
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let _ = mount("sysfs", "/sys", "sysfs", flags, None);
    Ok(())
}

/// What is known of pods, their logs and how they ended, outlives the host.
fn keep_pods() -> Result<()> {
    let (kept, here) = (
        Path::new(INSIDE).join("pods"),
        Path::new("/run/netloom/pods"),
    );
    let make = |dir: &Path| {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(dir).doing(|| format!("make {dir:?}"))
    };
    make(&kept)?;
    make(here)?;
    mount_bind(&kept, here).doing(|| format!("mount on {here:?}"))
}

fn name_servers(path: &Path, text: &str) -> Result<()> {
    let failed = || format!("write {path:?}");
    if path.starts_with("/run") {
        let parent = path.parent().unwrap_or(Path::new("/run"));
        fs::create_dir_all(parent).doing(failed)?;
        return fs::write(path, text).doing(failed);
    }
    let own = "/run/netloom/resolv.conf";
    fs::write(own, text).doing(failed)?;
    mount_bind(own, path).doing(failed)
}
