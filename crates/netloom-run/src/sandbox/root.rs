//! The pod's mounts. All of them are made in the pod's own mount namespace, whose root then is changed, so
//! that the host's are out of sight and nothing has to be taken away in the end.
//!
//! What comes from the host is opened before the root changes, and attached after it: an image's symbolic
//! links lead nowhere but into the image.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use netloom_kernel::unshare;

use super::piece::Piece;
use super::{Order, devices};
use crate::error::{Doing, Error, Result};
use crate::files;
use crate::spec::{Root, Volume};

/// What of `/proc` and `/sys` tells about the host, or changes it.
pub(super) const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// What of `/proc` the pod only reads.
pub(super) const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Where the host's programs are, and what they read.
const PROGRAMS: [&str; 9] = [
    "bin", "etc", "lib", "lib32", "lib64", "libx32", "opt", "sbin", "usr",
];

/// Makes the mounts and changes the root.
pub(super) fn enter(order: &Order) -> Result<()> {
    let pieces = pieces(order)?;
    let devices = devices::open(order.spec.tty)?;
    let root = order.dir.join("rootfs");
    mount_root(order, &root)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened =
        rustix::fs::open(&root, flags, Mode::empty()).doing(|| format!("open {root:?}"))?;
    // Where netloom itself runs in a changed root, the namespace's own is the one to be replaced: whoever enters
    // the namespace, as `exec` does, begins there.
    unshare::to_namespace_root()?;
    rustix::process::fchdir(&opened).doing(|| format!("enter {root:?}"))?;
    rustix::process::pivot_root(".", ".").doing(|| "change the root")?;
    // From here on the host is only at ".", below nothing that a path leads through.
    system(devices, matches!(order.spec.root, Root::Host))?;
    for piece in pieces {
        piece.attach()?;
    }
    unmount(".", UnmountFlags::DETACH).doing(|| "leave the host's mounts")?;
    rustix::process::chdir("/").doing(|| "enter the pod's root")?;
    mask()
}

/// What of the host the pod is to have.
fn pieces(order: &Order) -> Result<Vec<Piece>> {
    let is_fixed = matches!(order.spec.root, Root::Host) && unshare::is_user_namespace();
    let is_shared = matches!(order.spec.root, Root::Directory { writable: true, .. });
    let mut pieces = Vec::new();
    for name in files::NAMES {
        let mut piece = Piece::open(&order.dir.join(name), format!("/etc/{name}"), false)?;
        piece.read_only = true;
        piece.may_replace = !is_fixed && !is_shared;
        piece.may_lack = is_fixed;
        pieces.push(piece);
    }
    for Volume {
        source,
        target,
        read_only,
    } in &order.spec.volumes
    {
        let mut piece = Piece::open(source, target.as_str(), true)?;
        piece.read_only = *read_only;
        pieces.push(piece);
    }
    Ok(pieces)
}

/// The pod's root file system alone, for somebody else who makes the rest; where it is.
pub(super) fn mount_for_runtime(order: &Order) -> Result<PathBuf> {
    let root = order.dir.join("rootfs");
    mount_root(order, &root)?;
    Ok(root)
}

fn mount_root(order: &Order, at: &Path) -> Result<()> {
    let lower = match &order.spec.root {
        Root::Host if unshare::is_user_namespace() => return programs_of_host(at),
        Root::Directory {
            path,
            writable: true,
        } => {
            let mut piece = Piece::open(path, at, true)?;
            piece.is_dir = true;
            return piece.attach();
        }
        Root::Host => vec![PathBuf::from("/")],
        Root::Directory { path, .. } => vec![path.clone()],
        Root::Layers(layers) => layers.clone(),
    };
    let layer = order.dir.join("layer");
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", &layer, "tmpfs", flags, Some(c"mode=0755"))
        .doing(|| format!("mount tmpfs on {layer:?}"))?;
    for name in ["upper", "work"] {
        let dir = layer.join(name);
        fs::create_dir(&dir).doing(|| format!("make {dir:?}"))?;
    }
    overlay(&lower, &layer, at)
}

/// An ordinary user cannot put a layer on the host's root, of which the kernel would have to show what its
/// mounts hide, and could write to none of its files: the directories of its programs, and empty ones.
fn programs_of_host(at: &Path) -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", at, "tmpfs", flags, Some(c"mode=0755"))
        .doing(|| format!("mount tmpfs on {at:?}"))?;
    for name in PROGRAMS {
        let (source, target) = (Path::new("/").join(name), at.join(name));
        let Ok(found) = fs::symlink_metadata(&source) else {
            continue;
        };
        if found.is_symlink() {
            fs::read_link(&source)
                .and_then(|to| std::os::unix::fs::symlink(to, &target))
                .doing(|| format!("make {target:?}"))?;
            continue;
        }
        let mut piece = Piece::open(&source, target, true)?;
        piece.read_only = true;
        piece.attach()?;
    }
    for name in [
        "dev", "home", "proc", "root", "run", "sys", "tmp", "var/tmp",
    ] {
        let dir = at.join(name);
        fs::create_dir_all(&dir).doing(|| format!("make {dir:?}"))?;
    }
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
    let dir = at.join("tmp");
    fs::set_permissions(&dir, everybody).doing(|| format!("open {dir:?} to everybody"))
}

/// Layers are named by descriptors: the option has room for a page, and a path may contain its separators.
fn overlay(lower: &[PathBuf], layer: &Path, at: &Path) -> Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |path: &PathBuf| {
        rustix::fs::open(path, flags, Mode::empty())
            .doing(|| format!("open the root file system {path:?}"))
    };
    let opened: Vec<OwnedFd> = lower.iter().map(open).collect::<Result<_>>()?;
    use std::os::fd::AsRawFd;
    let names: Vec<_> = opened
        .iter()
        .map(|fd| format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
        .collect();
    let layer = layer.to_string_lossy();
    // In a user namespace only these attributes can be set.
    let attributes = match unshare::is_user_namespace() {
        true => ",userxattr",
        false => "",
    };
    let options = format!(
        "lowerdir={},upperdir={layer}/upper,workdir={layer}/work{attributes}",
        names.join(":")
    );
    let options = std::ffi::CString::new(options).doing(|| "name the layers")?;
    // Nobody opens a device that an image brings, or that the pod makes.
    mount("overlay", at, "overlay", MountFlags::NODEV, Some(&*options))
        .map_err(|errno| not_mounted(lower, errno))
}

fn not_mounted(lower: &[PathBuf], errno: rustix::io::Errno) -> Error {
    let what = format!("mount an overlay on {lower:?}");
    match errno {
        rustix::io::Errno::NODEV => Error::new(format!(
            "{what}: the kernel has no overlayfs (modprobe overlay)"
        )),
        errno => Error::of(what, errno),
    }
}

/// `/proc`, `/sys`, `/dev`, and on the host's root an empty `/run`.
fn system(devices: Vec<Piece>, of_host: bool) -> Result<()> {
    let strict = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let on = |kind: &str, target: &str, flags, options: Option<&std::ffi::CStr>| {
        let path = Path::new(target);
        if !path.exists() {
            fs::create_dir_all(path).doing(|| format!("make {target:?} in the pod"))?;
        }
        mount(kind, target, kind, flags, options).doing(|| format!("mount {kind} on {target:?}"))
    };
    on("proc", "/proc", strict, None)?;
    on("sysfs", "/sys", strict | MountFlags::RDONLY, None)?;
    on(
        "tmpfs",
        "/dev",
        MountFlags::NOSUID | MountFlags::NODEV,
        Some(c"mode=0755,size=64k"),
    )?;
    let terminals = |options| {
        let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
        on("devpts", "/dev/pts", flags, Some(options))
    };
    // The group tty may be one that this user namespace does not have.
    terminals(c"newinstance,ptmxmode=0666,mode=0620,gid=5")
        .or_else(|_| terminals(c"newinstance,ptmxmode=0666,mode=0620"))?;
    on("tmpfs", "/dev/shm", strict, Some(c"mode=1777,size=64m"))?;
    on("mqueue", "/dev/mqueue", strict, None)?;
    if of_host {
        // What lies beneath the host's own tmpfs is nobody's.
        let plain = MountFlags::NOSUID | MountFlags::NODEV;
        on("tmpfs", "/run", plain, Some(c"mode=0755"))?;
    }
    devices::fill(devices)
}

/// What is masked shows an empty file or directory.
fn mask() -> Result<()> {
    for path in MASKED {
        let path = Path::new(path);
        let Ok(found) = fs::symlink_metadata(path) else {
            continue;
        };
        let done = match found.is_dir() {
            true => mount("tmpfs", path, "tmpfs", MountFlags::RDONLY, Some(c"size=0k")),
            false => rustix::mount::mount_bind("/dev/null", path),
        };
        done.doing(|| format!("mask {path:?}"))?;
    }
    for path in READ_ONLY {
        if !Path::new(path).exists() {
            continue;
        }
        let flags = MountFlags::BIND
            | MountFlags::RDONLY
            | MountFlags::NOSUID
            | MountFlags::NODEV
            | MountFlags::NOEXEC;
        rustix::mount::mount_bind(path, path)
            .and_then(|()| mount_remount(path, flags, ""))
            .doing(|| format!("make {path:?} read-only"))?;
    }
    Ok(())
}
