//! A tree of files as a package has it: modes, owners and times are no matter of the machine.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use crate::process;

/// What is at a path.
pub(super) enum File {
    /// The content of another file, which can be executed.
    Program(PathBuf),
    Text(Vec<u8>),
}

/// Files by their paths, from the root of the file system and without the first slash.
#[derive(Default)]
pub(super) struct Tree(BTreeMap<PathBuf, File>);

impl Tree {
    pub(super) fn put(&mut self, path: impl Into<PathBuf>, file: File) {
        self.0.insert(path.into(), file);
    }

    pub(super) fn text(&mut self, path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) {
        self.put(path, File::Text(text.into()));
    }

    pub(super) fn absorb(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The paths, sorted.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Writes the tree below an empty folder, all of it with one time.
    pub(super) fn lay(&self, root: &Path, epoch: u64) -> Result<()> {
        for (path, file) in &self.0 {
            let to = root.join(path);
            lay(file, &to).with_context(|| format!("cannot write {}", to.display()))?;
        }
        settle(root, epoch)
    }
}

fn lay(file: &File, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    let mode = match file {
        File::Program(from) => {
            fs::copy(from, to).with_context(|| format!("copy {}", from.display()))?;
            0o755
        }
        File::Text(text) => {
            fs::write(to, text)?;
            match text.starts_with(b"#!") {
                true => 0o755,
                false => 0o644,
            }
        }
    };
    Ok(fs::set_permissions(to, Permissions::from_mode(mode))?)
}

/// Gives a folder and all in it the modes and the time that they are packed with.
fn settle(path: &Path, epoch: u64) -> Result<()> {
    let kind = fs::symlink_metadata(path)?.file_type();
    if kind.is_dir() {
        for entry in fs::read_dir(path)? {
            settle(&entry?.path(), epoch)?;
        }
    }
    if !kind.is_symlink() {
        // Whatever the umask was.
        let is_open = kind.is_dir() || fs::metadata(path)?.permissions().mode() & 0o100 != 0;
        let mode = if is_open { 0o755 } else { 0o644 };
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    let time = Timespec {
        tv_sec: i64::try_from(epoch)?,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

/// Packs what is in `folder` as the tar file `to`, compressed with gzip if its name says so.
pub(super) fn tar(folder: &Path, to: &Path) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.args(["--format=ustar"]);
    if to.extension().is_some_and(|it| it == "gz") {
        tar.arg("--use-compress-program=gzip -9n");
    }
    let mut names: Vec<_> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<Result<_>>()?;
    names.sort();
    tar.arg("-cf").arg(to).arg("-C").arg(folder).args(names);
    process::run(&mut tar)
}
