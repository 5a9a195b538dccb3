//! Namespaces that are kept alive by a bind mount, as `ip netns add` makes them.

use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use rustix::thread::UnshareFlags;

use super::{Home, Netns, OF_THIS_THREAD};
use crate::error::{Error, Result, quoted};
use crate::unshare::unshare;

/// Makes a new network namespace and binds it to a path, as `ip netns add` does; missing parent
/// directories are made. The current thread stays where it is.
///
/// Unlike `ip netns add` the mount is not propagated to other mount namespaces beyond what the
/// directory's own propagation does.
///
/// # Errors
/// `is_exists()` if a file is at the path already; whatever failed is undone.
pub fn create_at(path: impl AsRef<Path>) -> Result<Netns> {
    create_at_with(path, || Ok(()))
}

/// Like [`create_at`], with something done in the new namespace before anybody else sees it. If that
/// fails nothing is left.
///
/// # Errors
/// As [`create_at`], or what `prepare` says.
pub fn create_at_with(
    path: impl AsRef<Path>,
    prepare: impl FnOnce() -> Result<()>,
) -> Result<Netns> {
    let path = path.as_ref();
    let failed = |errno| Error::of("create network namespace", quoted(path), errno);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .map_err(|e| Error::of_io("create directory", quoted(parent), &e))?;
    }
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    drop(rustix::fs::open(path, flags, Mode::RUSR).map_err(failed)?);
    bind_new(path, prepare).inspect_err(|_| {
        let _ = remove_at(path);
    })
}

fn bind_new(path: &Path, prepare: impl FnOnce() -> Result<()>) -> Result<Netns> {
    let _home = Home::remember()?;
    unshare(UnshareFlags::NEWNET)?;
    prepare()?;
    rustix::mount::mount_bind(OF_THIS_THREAD, path)
        .map_err(|e| Error::of("bind network namespace to", quoted(path), e))?;
    Ok(Netns::from_fd(Netns::current()?.fd, path))
}

/// Unbinds a namespace and removes the file. The namespace itself ends with its last user.
///
/// Success with `false` if nothing is at the path; a left-over file that is not a mount is
/// removed too.
///
/// # Errors
/// If the unmount or the removal fails.
pub fn remove_at(path: impl AsRef<Path>) -> Result<bool> {
    let path = path.as_ref();
    let failed = |errno| Error::of("remove network namespace", quoted(path), errno);
    match rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        // EINVAL: not a mount point.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(Errno::NOENT) => return Ok(false),
        Err(errno) => return Err(failed(errno)),
    }
    match rustix::fs::unlink(path) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(failed(errno)),
    }
}
