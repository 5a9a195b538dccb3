//! Mounts that are opened outside of the pod and attached in it.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    MountFlags, MoveMountFlags, OpenTreeFlags, mount_remount, move_mount, open_tree,
};

use crate::error::{Doing, Error, Result};

/// A piece of the host, not attached anywhere yet.
pub(super) struct Piece {
    tree: OwnedFd,
    target: PathBuf,
    pub(super) is_dir: bool,
    pub(super) read_only: bool,
    /// Whether a symbolic link at the target is replaced, as the pod's own layer takes that.
    pub(super) may_replace: bool,
    /// Whether the pod does without, where the target cannot be made.
    pub(super) may_lack: bool,
}

impl Piece {
    /// Opens what is at `source`, to be attached at `target` in the pod.
    pub(super) fn open(source: &Path, target: impl Into<PathBuf>, recursive: bool) -> Result<Self> {
        let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
        let tree = open_tree(CWD, source, flags).doing(|| format!("mount {source:?}"))?;
        let stat = rustix::fs::fstat(&tree).doing(|| format!("look at {source:?}"))?;
        let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
        Ok(Self {
            tree,
            target: target.into(),
            is_dir: kind.is_dir(),
            read_only: false,
            may_replace: false,
            may_lack: false,
        })
    }

    /// Attaches it, in the pod's root.
    pub(super) fn attach(self) -> Result<()> {
        let target = &self.target;
        match self.make_target() {
            Err(_) if self.may_lack => return Ok(()),
            made => made?,
        }
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
        move_mount(&self.tree, "", CWD, target, flags).doing(|| format!("mount on {target:?}"))?;
        if self.read_only {
            let flags =
                MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
            // In a user namespace what the host forbids of a mount may not be given back.
            mount_remount(target, flags, "")
                .or_else(|_| mount_remount(target, flags | MountFlags::NOEXEC, ""))
                .doing(|| format!("make {target:?} read-only"))?;
        }
        Ok(())
    }

    fn refused(&self, own: &str, there: &str) -> Error {
        Error::new(format!(
            "mount on {:?}: the pod has {there} there, on which {own} cannot be mounted",
            self.target
        ))
    }

    fn make_target(&self) -> Result<()> {
        let target = &self.target;
        if self.may_replace && target.is_symlink() {
            fs::remove_file(target).doing(|| format!("replace {target:?}"))?;
        }
        if target.exists() {
            return match (self.is_dir, target.is_dir()) {
                (true, false) => Err(self.refused("a directory", "a file")),
                (false, true) => Err(self.refused("a file", "a directory")),
                _ => Ok(()),
            };
        }
        let parent = match fs::read_link(target) {
            // What a link leads to is made where it leads.
            Ok(to) => target.with_file_name(to).parent().map(Path::to_owned),
            Err(_) if self.is_dir => Some(target.clone()),
            Err(_) => target.parent().map(Path::to_owned),
        };
        if let Some(parent) = parent {
            fs::create_dir_all(&parent).doing(|| format!("make {parent:?} in the pod"))?;
        }
        if !self.is_dir {
            let flags = OFlags::CREATE | OFlags::RDONLY | OFlags::CLOEXEC;
            rustix::fs::open(target, flags, Mode::from_raw_mode(0o644))
                .doing(|| format!("make {target:?} in the pod"))?;
        }
        Ok(())
    }
}
