//! Unpacks the tar of a layer below a directory, and nowhere else.
//!
//! Every entry is made by its last name in a directory that was opened with that directory as root
//! (openat2(2), `RESOLVE_IN_ROOT`): `..`, absolute names and symbolic links lead to places inside. What a
//! layer removes becomes what overlayfs wants to see.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;
use tar::{Archive, Entry, EntryType};

use netloom_kernel::unshare;

use super::read::tar_fault;
use crate::error::{Doing, Error, Result};

/// More files than any layer has.
const MOST: usize = 2_000_000;

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// The directory that a layer is unpacked to.
pub(super) struct Root {
    dir: OwnedFd,
    /// Directories get their times last: what is made in them changes these.
    times: Vec<(String, u64)>,
}

impl Root {
    pub(super) fn new(dir: OwnedFd) -> Self {
        let times = Vec::new();
        Self { dir, times }
    }

    /// Unpacks all of a tar.
    pub(super) fn unpack(&mut self, reader: impl Read) -> Result<()> {
        let mut archive = Archive::new(reader);
        let entries = archive.entries().doing(|| "read a layer")?;
        for (number, entry) in entries.enumerate() {
            let mut entry = entry
                .map_err(|error| tar_fault(&error))
                .doing(|| "read a layer")?;
            if number > MOST {
                return Err(Error::new(format!("the layer has more than {MOST} files")));
            }
            let path = path_of(&entry)?;
            self.entry(&path, &mut entry)
                .doing(|| format!("unpack {path:?}"))?;
        }
        for (path, time) in self.times.drain(..).rev() {
            // Replaced by something else since, perhaps.
            if let Ok(dir) = open_dir(self.dir.as_fd(), &path) {
                let _ = rustix::fs::futimens(&dir, &times(time));
            }
        }
        Ok(())
    }

    fn entry<R: Read>(&mut self, path: &str, entry: &mut Entry<'_, R>) -> io::Result<()> {
        let kind = entry.header().entry_type();
        let Some((parent, name)) = split(path) else {
            // The root itself.
            return match kind {
                EntryType::Directory => self.own(self.dir.as_fd(), entry).map(drop),
                _ => Err(io::Error::other("it is the root, but no directory")),
            };
        };
        let parent = make_dirs(self.dir.as_fd(), parent)?;
        let dir = parent.as_fd();
        if name == OPAQUE {
            return make_opaque(dir);
        }
        if let Some(gone) = name.strip_prefix(WHITEOUT) {
            return white_out(dir, gone);
        }
        match kind {
            EntryType::Directory => self.directory(dir, name, path, entry),
            EntryType::Regular | EntryType::Continuous => self.file(dir, name, entry),
            EntryType::Symlink => {
                let to = entry.link_name_bytes().unwrap_or_default();
                clear(dir, name)?;
                rustix::fs::symlinkat(&*to, dir, name)?;
                chown(dir, name, entry)
            }
            EntryType::Link => self.link(dir, name, entry),
            EntryType::Fifo => {
                clear(dir, name)?;
                let mode = Mode::from_raw_mode(entry.header().mode()? & 0o7777);
                rustix::fs::mknodat(dir, name, FileType::Fifo, mode, 0)?;
                chown(dir, name, entry)
            }
            // No pod could open one.
            EntryType::Char | EntryType::Block => Ok(()),
            EntryType::XGlobalHeader => Ok(()),
            other => Err(io::Error::other(format!(
                "entries of the kind {other:?} are not read"
            ))),
        }
    }

    fn directory<R: Read>(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &str,
        path: &str,
        entry: &Entry<'_, R>,
    ) -> io::Result<()> {
        match rustix::fs::mkdirat(dir, name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) if is_dir(dir, name) => {}
            Err(Errno::EXIST) => {
                // Removed, and made again: nothing of the former one shows.
                let was_removed = is_whiteout(dir, name);
                clear(dir, name)?;
                rustix::fs::mkdirat(dir, name, Mode::RWXU)?;
                if was_removed {
                    make_opaque(open_dir(dir, name)?.as_fd())?;
                }
            }
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(dir, name, flags, Mode::empty())?;
        let time = self.own(made.as_fd(), entry)?;
        self.times.push((path.to_owned(), time));
        Ok(())
    }

    fn file<R: Read>(
        &self,
        dir: BorrowedFd<'_>,
        name: &str,
        entry: &mut Entry<'_, R>,
    ) -> io::Result<()> {
        clear(dir, name)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(dir, name, flags, Mode::RUSR)?);
        let expected = entry.size();
        let copied = io::copy(entry, &mut file)?;
        if copied != expected {
            return Err(io::Error::other(format!(
                "{copied} of its {expected} bytes are there"
            )));
        }
        let time = self.own(file.as_fd(), entry)?;
        Ok(rustix::fs::futimens(&file, &times(time))?)
    }

    fn link<R: Read>(
        &self,
        dir: BorrowedFd<'_>,
        name: &str,
        entry: &Entry<'_, R>,
    ) -> io::Result<()> {
        let to = entry.link_name_bytes().unwrap_or_default();
        let to = clean(&to).map_err(io::Error::other)?;
        let (parent, target) =
            split(&to).ok_or_else(|| io::Error::other("a hard link to the root"))?;
        let parent = open_dir(self.dir.as_fd(), parent)?;
        clear(dir, name)?;
        // To a symbolic link itself, where it is one.
        Ok(rustix::fs::linkat(
            &parent,
            target,
            dir,
            name,
            AtFlags::empty(),
        )?)
    }

    /// Gives it its owner and its mode, setuid included; its time, for later.
    fn own<R: Read>(&self, fd: BorrowedFd<'_>, entry: &Entry<'_, R>) -> io::Result<u64> {
        let header = entry.header();
        let (uid, gid) = ids(entry)?;
        owned(rustix::fs::fchown(fd, Some(uid), Some(gid)))?;
        rustix::fs::fchmod(fd, Mode::from_raw_mode(header.mode()? & 0o7777))?;
        Ok(header.mtime().unwrap_or_default())
    }
}

fn path_of<R: Read>(entry: &Entry<'_, R>) -> Result<String> {
    if entry.header().entry_type() == EntryType::GNUSparse {
        return Err(Error::new("the layer has sparse files, which are not read"));
    }
    clean(&entry.path_bytes()).map_err(Error::new)
}

/// Without `/` at either end, `.` and doubled `/`; empty is the root.
fn clean(path: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(path)
        .map_err(|_| format!("the name {:?} is not UTF-8", String::from_utf8_lossy(path)))?;
    let parts = text
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".");
    let parts: Vec<_> = parts.collect();
    match parts.contains(&"..") || text.contains('\0') {
        true => Err(format!("the name {text:?} leads out of the layer")),
        false => Ok(parts.join("/")),
    }
}

fn split(path: &str) -> Option<(&str, &str)> {
    match path.rsplit_once('/') {
        Some(pair) => Some(pair),
        None if path.is_empty() => None,
        None => Some(("", path)),
    }
}

/// Opens a directory below the root, whatever links say.
fn open_dir(root: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    let path = if path.is_empty() { "." } else { path };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    loop {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
            // Something was renamed meanwhile: not by us, but it says so.
            Err(Errno::AGAIN) => {}
            opened => return Ok(opened?),
        }
    }
}

/// The same, with those that are missing made.
fn make_dirs(root: BorrowedFd<'_>, path: &str) -> io::Result<OwnedFd> {
    match open_dir(root, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    let mut made = String::new();
    for part in path.split('/') {
        let parent = open_dir(root, &made)?;
        match rustix::fs::mkdirat(&parent, part, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        if !made.is_empty() {
            made.push('/');
        }
        made.push_str(part);
    }
    open_dir(root, path)
}

/// Hides what the layers below have in this directory.
fn make_opaque(dir: BorrowedFd<'_>) -> io::Result<()> {
    // A descriptor that only names a directory takes no attributes.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(dir, ".", flags, Mode::empty())?;
    let name = match unshare::is_user_namespace() {
        true => "user.overlay.opaque",
        false => "trusted.overlay.opaque",
    };
    Ok(rustix::fs::fsetxattr(
        &dir,
        name,
        b"y",
        XattrFlags::empty(),
    )?)
}

/// What overlayfs takes for "removed": a character device 0:0.
fn white_out(dir: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    if name.is_empty() || name.starts_with(WHITEOUT) || name == "." || name == ".." {
        return Err(io::Error::other("it removes nothing that has a name"));
    }
    // What this layer itself has made there counts more; of a directory, nothing below shows.
    if is_dir(dir, name) {
        return make_opaque(open_dir(dir, name)?.as_fd());
    }
    match rustix::fs::mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), 0) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn is_whiteout(dir: BorrowedFd<'_>, name: &str) -> bool {
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice)
}

fn is_dir(dir: BorrowedFd<'_>, name: &str) -> bool {
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir())
}

/// Takes away what an earlier entry of the layer made there.
fn clear(dir: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        // One that is not empty stays: no layer makes files in what it replaces.
        Err(Errno::ISDIR) => Ok(rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?),
        Err(errno) => Err(errno.into()),
    }
}

fn ids<R: Read>(entry: &Entry<'_, R>) -> io::Result<(Uid, Gid)> {
    let small = |id: u64| {
        let id = u32::try_from(id).ok().filter(|it| *it != u32::MAX);
        id.ok_or_else(|| io::Error::other("its owner has no number that Linux knows"))
    };
    let header = entry.header();
    Ok((
        Uid::from_raw(small(header.uid()?)?),
        Gid::from_raw(small(header.gid()?)?),
    ))
}

fn chown<R: Read>(dir: BorrowedFd<'_>, name: &str, entry: &Entry<'_, R>) -> io::Result<()> {
    let (uid, gid) = ids(entry)?;
    owned(rustix::fs::chownat(
        dir,
        name,
        Some(uid),
        Some(gid),
        AtFlags::SYMLINK_NOFOLLOW,
    ))
}

/// An owner that a user namespace does not have leaves the file the user's.
fn owned(outcome: Result<(), Errno>) -> io::Result<()> {
    match outcome {
        Err(Errno::INVAL | Errno::PERM) if unshare::is_user_namespace() => Ok(()),
        outcome => Ok(outcome?),
    }
}

fn times(seconds: u64) -> Timestamps {
    let time = Timespec {
        tv_sec: seconds.try_into().unwrap_or_default(),
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
