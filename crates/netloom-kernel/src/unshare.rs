//! Throw-away hosts: the current thread leaves for namespaces of its own.
//!
//! For tests and demonstrations. Nothing outside changes, and all is gone with the last thread or
//! process in them.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use crate::error::{Error, Result, quoted};

/// Which namespaces to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Isolation {
    /// A user namespace in which the caller is root. The kernel allows it only to processes with
    /// one thread, and it gives the capabilities that the others need to unprivileged users.
    pub user: bool,
    /// A mount namespace, all mounts made private.
    pub mounts: bool,
    /// A UTS (host name) namespace.
    pub uts: bool,
}

/// Moves the current thread into a new network namespace, and those of `isolation`.
///
/// In the new network namespace only `lo` exists, and it is down.
///
/// # Errors
/// `is_denied()` if the caller may not; EINVAL if a user namespace is asked for by a process with
/// more than one thread.
pub fn host(isolation: Isolation) -> Result<()> {
    let mut flags = UnshareFlags::NEWNET;
    flags.set(UnshareFlags::NEWUSER, isolation.user);
    flags.set(UnshareFlags::NEWNS, isolation.mounts);
    flags.set(UnshareFlags::NEWUTS, isolation.uts);
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    unshare(flags)?;
    if isolation.user {
        become_root(user.as_raw(), group.as_raw())?;
    }
    if isolation.mounts {
        make_mounts_private()?;
    }
    Ok(())
}

/// Moves the process, which must have one thread, into new user, mount and network namespaces; its next child
/// is the first process of a new PID namespace. Nobody is mapped there yet: that is for who writes its
/// `uid_map` and `gid_map`. All mounts are made private.
///
/// # Errors
/// `is_denied()` where only root makes user namespaces.
pub fn user_host() -> Result<()> {
    let kinds = UnshareFlags::NEWNS | UnshareFlags::NEWNET | UnshareFlags::NEWPID;
    unshare(UnshareFlags::NEWUSER | kinds)?;
    make_mounts_private()
}

/// Whether ids here are mapped to others, or to none, outside: a user namespace that is not the first.
#[must_use]
pub fn is_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"]
}

/// Moves the current thread into a new network namespace.
///
/// # Errors
/// `is_denied()` without CAP_SYS_ADMIN.
pub fn network() -> Result<()> {
    unshare(UnshareFlags::NEWNET)
}

/// Moves the current thread into new mount, IPC, UTS and cgroup namespaces, as a process of a sandbox
/// wants them. All mounts are made private, so that nothing that is mounted here shows outside.
///
/// # Errors
/// `is_denied()` without CAP_SYS_ADMIN.
pub fn sandbox() -> Result<()> {
    unshare(
        UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS | UnshareFlags::NEWCGROUP,
    )?;
    make_all_mounts_private()
}

/// Moves the current thread into a new mount namespace, all mounts made private.
///
/// # Errors
/// `is_denied()` without CAP_SYS_ADMIN.
pub fn sandbox_mounts() -> Result<()> {
    unshare(UnshareFlags::NEWNS)?;
    make_all_mounts_private()
}

/// Makes the root of this mount namespace the root and the working directory of the process. In a changed root
/// (chroot(2)) that is another than before: whoever enters the namespace later begins there too.
///
/// # Errors
/// `is_denied()` without CAP_SYS_ADMIN and CAP_SYS_CHROOT; if the process has several threads.
pub fn to_namespace_root() -> Result<()> {
    enter("/proc/self/ns/mnt", LinkNameSpaceType::Mount)
}

/// Those above a changed root as well. Root and working directory are the former root after it.
fn make_all_mounts_private() -> Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let back = |e| Error::of("return to", "the root directory", e);
    let own = rustix::fs::open("/", flags, Mode::empty()).map_err(back)?;
    to_namespace_root()?;
    make_mounts_private()?;
    rustix::process::fchdir(&own)
        .and_then(|()| rustix::process::chroot("."))
        .map_err(back)
}

/// Runs a closure whose first child becomes the first process of a new PID namespace. Children that are
/// started later are in the caller's own again.
///
/// # Errors
/// `is_denied()` without CAP_SYS_ADMIN; the closure has not run then. If the way back fails: the process
/// can start no children any more when the first one has ended.
pub fn with_new_pid_namespace<T>(start: impl FnOnce() -> T) -> Result<T> {
    let own = open_namespace("/proc/self/ns/pid")?;
    unshare(UnshareFlags::NEWPID)?;
    let started = start();
    rustix::thread::move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::ProcessID))
        .map_err(|e| Error::of("return to", "the PID namespace", e))?;
    Ok(started)
}

/// Whether [`host`] needs a user namespace: the caller is not root.
#[must_use]
pub fn needs_user_namespace() -> bool {
    !rustix::process::geteuid().is_root()
}

/// Mounts an empty tmpfs over a directory, which is made if it is missing.
///
/// # Errors
/// If the directory cannot be made or the mount is refused.
pub fn mount_tmpfs(directory: impl AsRef<Path>) -> Result<()> {
    let directory = directory.as_ref();
    fs::create_dir_all(directory)
        .map_err(|e| Error::of_io("create directory", quoted(directory), &e))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("tmpfs", directory, "tmpfs", flags, Some(c"mode=0755"))
        .map_err(|e| Error::of("mount tmpfs on", quoted(directory), e))
}

fn open_namespace(path: &str) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .map_err(|e| Error::of("open namespace", format_args!("\"{path}\""), e))
}

/// Enters a namespace of another process, of any kind but that of users, by its path, such as
/// `/proc/PID/ns/mnt`. A PID namespace is that of later children.
///
/// # Errors
/// If it cannot be opened, or is of another kind, or may not be entered.
pub fn enter(path: &str, kind: LinkNameSpaceType) -> Result<()> {
    let namespace = open_namespace(path)?;
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(kind))
        .map_err(|e| Error::of("enter namespace", format_args!("\"{path}\""), e))
}

pub(crate) fn unshare(flags: UnshareFlags) -> Result<()> {
    let refused = |e| Error::of("unshare namespaces", names(flags), e);
    if flags.contains(UnshareFlags::FILES) {
        return Err(refused(Errno::INVAL));
    }
    #[expect(
        unsafe_code,
        reason = "unshare(2) is unsafe for the sake of CLONE_FILES alone"
    )]
    // SAFETY: unsafe only because of CLONE_FILES, which would give this thread a descriptor table
    // of its own; it has just been refused.
    let result = unsafe { rustix::thread::unshare_unsafe(flags) };
    result.map_err(refused)
}

/// The kinds of namespaces, in words: `user, net, mount`.
fn names(flags: UnshareFlags) -> String {
    let kinds = [
        (UnshareFlags::NEWUSER, "user"),
        (UnshareFlags::NEWNET, "net"),
        (UnshareFlags::NEWNS, "mount"),
        (UnshareFlags::NEWUTS, "uts"),
        (UnshareFlags::NEWPID, "pid"),
        (UnshareFlags::NEWIPC, "ipc"),
        (UnshareFlags::NEWCGROUP, "cgroup"),
    ];
    let wanted = kinds.iter().filter(|(flag, _)| flags.contains(*flag));
    wanted.map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
}

/// Maps the caller to root in the user namespace just made.
fn become_root(user: u32, group: u32) -> Result<()> {
    // setgroups has to be given up before an unprivileged process may map its group.
    write_proc("/proc/self/setgroups", "deny")?;
    write_proc("/proc/self/uid_map", &format!("0 {user} 1"))?;
    write_proc("/proc/self/gid_map", &format!("0 {group} 1"))
}

fn write_proc(path: &str, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|e| Error::of_io("write", format_args!("\"{path}\""), &e))
}

fn make_mounts_private() -> Result<()> {
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags)
        .map_err(|e| Error::of("make mounts private below", "\"/\"", e))
}
