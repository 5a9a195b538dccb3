//! A program, and its copies under the names of plugins.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Read;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use netloom_plugin::stamp::{LENGTH, Stamp};
use sha2::{Digest, Sha256};

/// A program whose copies are installed.
pub(super) struct Program {
    path: PathBuf,
    content: Vec<u8>,
    at: usize,
    /// As it was built.
    stamp: Stamp,
    build: [u8; 32],
}

impl Program {
    pub(super) fn read(path: PathBuf) -> Result<Self> {
        let mut content = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let (at, stamp) = Stamp::find(&content).with_context(|| {
            format!(
                "{} cannot be installed: it has no place for a plugin's name; is it of an older netloom?",
                path.display()
            )
        })?;
        // The copies of a copy are of the same build.
        let stamp = stamp.blank();
        content[at..at + LENGTH].copy_from_slice(stamp.bytes());
        let build = Sha256::digest(&content).into();
        Ok(Self {
            path,
            content,
            at,
            stamp,
            build,
        })
    }

    /// The content of a wrapper.
    pub(super) fn wrapper(mut self) -> Vec<u8> {
        let stamp = self.stamp.wrapping();
        self.content[self.at..self.at + LENGTH].copy_from_slice(stamp.bytes());
        self.content
    }

    /// The stamp of the copy of that name. The multi-call binary has every name, so it keeps the blank.
    fn stamp(&self, name: &str) -> Stamp {
        match name {
            super::BINARY => self.stamp.clone(),
            name => self.stamp.clone().filled(name, self.at as u64, &self.build),
        }
    }

    /// Whether the file is this copy already, to the last byte, and can be executed.
    pub(super) fn is_at(&self, path: &Path, name: &str) -> bool {
        let executable =
            |it: fs::Metadata| it.is_file() && it.permissions().mode() & 0o777 == 0o755;
        if !fs::symlink_metadata(path).is_ok_and(executable) {
            return false;
        }
        let Ok(found) = fs::read(path) else {
            return false;
        };
        let end = self.at + LENGTH;
        found.len() == self.content.len()
            && found[..self.at] == self.content[..self.at]
            && found[self.at..end] == self.stamp(name).bytes()[..]
            && found[end..] == self.content[end..]
    }

    /// Puts the copy at `path`. It is finished as `draft`, on the same file system, and appears by
    /// rename, so that nobody executes half of it.
    pub(super) fn write(&self, draft: &Path, path: &Path, name: &str) -> Result<()> {
        let write = || -> std::io::Result<()> {
            let _ = fs::remove_file(draft);
            // The kernel shares the blocks where the file system can.
            fs::copy(&self.path, draft)?;
            fs::set_permissions(draft, Permissions::from_mode(0o755))?;
            let file = OpenOptions::new().write(true).open(draft)?;
            file.write_all_at(self.stamp(name).bytes(), self.at as u64)?;
            // On the disk before it has the name, so that no power loss leaves an empty plugin.
            file.sync_data()?;
            drop(file);
            fs::rename(draft, path)
        };
        write().inspect_err(|_| drop(fs::remove_file(draft)))?;
        Ok(())
    }
}

/// What a name in a directory is.
pub(crate) enum Seen {
    Link,
    /// A program with a stamp.
    Stamped(Box<Stamp>),
    Other,
}

/// What is at this path; `None` if nothing is.
pub(crate) fn seen(path: &Path) -> Option<Seen> {
    let kind = fs::symlink_metadata(path).ok()?.file_type();
    if kind.is_symlink() {
        return Some(Seen::Link);
    }
    if !kind.is_file() {
        return Some(Seen::Other);
    }
    Some(stamp_of(path).map_or(Seen::Other, |stamp| Seen::Stamped(Box::new(stamp))))
}

/// The stamp of a file, by whatever link.
pub(crate) fn stamp_of(path: &Path) -> Option<Stamp> {
    const PIECE: usize = 256 * LENGTH;
    let mut file = File::open(path).ok()?;
    let mut piece = Vec::with_capacity(PIECE);
    loop {
        piece.clear();
        let read = file
            .by_ref()
            .take(PIECE as u64)
            .read_to_end(&mut piece)
            .ok()?;
        if read == 0 {
            return None;
        }
        if let Some((_, stamp)) = Stamp::find(&piece) {
            return Some(stamp);
        }
    }
}
