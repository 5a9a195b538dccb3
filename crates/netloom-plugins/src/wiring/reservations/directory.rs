//! One directory, and the few things done with the names in it.

use super::owner::mix;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawDir, SeekFrom, Stat, Statx, StatxFlags, Timespec,
    Timestamps, UTIME_OMIT, fstat, ftruncate, futimens, mkdirat, openat, renameat, seek, statx,
    unlinkat,
};
use rustix::io::{Errno, read, write};
use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// No file of the store is as long as this.
const LONGEST: usize = 64 * 1024;
const LISTING_BUFFER: usize = 64 * 1024;
const CHANGE: StatxFlags = StatxFlags::CTIME.union(StatxFlags::INO);

/// When a file was last changed, and which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) seconds: i64,
    nanoseconds: u32,
    inode: u64,
}

impl Change {
    fn new(stat: &Statx) -> Self {
        Self {
            seconds: stat.stx_ctime.tv_sec,
            nanoseconds: stat.stx_ctime.tv_nsec,
            inode: stat.stx_ino,
        }
    }

    /// All of it in one number: another file, or the same one changed again, has another number.
    pub(crate) fn mark(self) -> u64 {
        mix(self.inode ^ mix(self.seconds as u64 ^ mix(self.nanoseconds.into())))
    }
}

/// An open directory.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    fd: OwnedFd,
}

impl Directory {
    /// Opens a directory; [`Errno::LOOP`] if the last part of its path is a symbolic link.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { path, fd }),
            // What the kernel says of a link that has to be a directory.
            Err(Errno::NOTDIR) if path.is_symlink() => Err(Errno::LOOP),
            Err(errno) => Err(errno),
        }
    }

    /// Opens the directory and makes it, and those above it, if it is absent.
    pub(crate) fn create(path: PathBuf, mode: u32) -> Result<Self, Errno> {
        match Self::open(path.clone()) {
            Err(Errno::NOENT) => {}
            outcome => return outcome,
        }
        DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(&path)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        Self::open(path)
    }

    /// Opens a directory in this one; no symbolic link stands for it.
    pub(crate) fn open_inside(&self, name: &OsStr) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self {
            fd: openat(&self.fd, name, flags, Mode::empty())?,
            path: self.path.join(name),
        })
    }

    /// The same, made if it is absent.
    pub(crate) fn create_inside(&self, name: &OsStr, mode: u32) -> Result<Self, Errno> {
        match self.open_inside(name) {
            Err(Errno::NOENT) => {}
            outcome => return outcome,
        }
        match mkdirat(&self.fd, name, Mode::from_raw_mode(mode)) {
            Ok(()) | Err(Errno::EXIST) => self.open_inside(name),
            Err(errno) => Err(errno),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The names of everything that is no directory, in no order.
    pub(crate) fn names(&self) -> Result<Vec<String>, Errno> {
        let mut names = Vec::new();
        self.each_name(|name| {
            names.push(name.to_owned());
            Ok(())
        })?;
        Ok(names)
    }

    /// Calls `see` with the name of everything that is no directory, in no order.
    pub(crate) fn each_name<E: From<Errno>>(
        &self,
        mut see: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        seek(&self.fd, SeekFrom::Start(0))?;
        let mut buffer = Vec::with_capacity(LISTING_BUFFER);
        let mut entries = RawDir::new(&self.fd, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            // Nothing that is of interest here has a name that is no text.
            if entry.file_type() != FileType::Directory
                && let Ok(name) = entry.file_name().to_str()
            {
                see(name)?;
            }
        }
        Ok(())
    }

    /// The whole content of a file.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>, Errno> {
        self.open_for_reading(name).and_then(|file| read_all(&file))
    }

    /// The whole content of a file, and its last change.
    pub(crate) fn read_with_change(&self, name: &str) -> Result<(Vec<u8>, Change), Errno> {
        let file = self.open_for_reading(name)?;
        let stat = statx(&file, c"", AtFlags::EMPTY_PATH, CHANGE)?;
        Ok((read_all(&file)?, Change::new(&stat)))
    }

    pub(crate) fn open_for_reading(&self, name: &str) -> Result<OwnedFd, Errno> {
        // Nobody must be able to stall us by a fifo of that name, or to have another file read.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(&self.fd, name, flags, Mode::empty())
    }

    /// A file's last change.
    pub(crate) fn change(&self, name: &str) -> Result<Change, Errno> {
        let stat = statx(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW, CHANGE)?;
        Ok(Change::new(&stat))
    }

    /// Writes a file of mode 0600 that has this name alone. A file of that name is written over if
    /// it is such a one already, and replaced otherwise.
    pub(crate) fn overwrite(&self, name: &str, content: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        if let Ok(file) = openat(&self.fd, name, flags, Mode::empty())
            && is_plain(&fstat(&file)?)
        {
            write_over(&file, content)?;
            return Ok(file);
        }
        self.write_new(name, content)
    }

    /// Writes a new file of mode 0600. A file of that name is removed first and never written
    /// to: it may have another name as well.
    pub(crate) fn write_new(&self, name: &str, content: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let open = || openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR);
        let file = match open() {
            Err(Errno::EXIST) => {
                self.remove(name)?;
                open()?
            }
            outcome => outcome?,
        };
        // On a full disk a file can be made, but not written.
        let written = write_all(&file, content);
        if written.is_err() {
            let _ = self.remove(name);
        }
        written.map(|()| file)
    }

    /// Removes a file; false if there was none.
    pub(crate) fn remove(&self, name: &str) -> Result<bool, Errno> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Gives a file another name in the same directory.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), Errno> {
        renameat(&self.fd, from, &self.fd, to)
    }

    /// When the directory was last changed.
    pub(crate) fn modified(&self) -> Result<(i64, u32), Errno> {
        modified(&self.fd)
    }

    pub(crate) fn set_modified(&self, (seconds, nanoseconds): (i64, u32)) -> Result<(), Errno> {
        futimens(
            &self.fd,
            &Timestamps {
                last_access: Timespec {
                    tv_sec: 0,
                    tv_nsec: UTIME_OMIT,
                },
                last_modification: Timespec {
                    tv_sec: seconds,
                    tv_nsec: nanoseconds.into(),
                },
            },
        )
    }
}

/// When a file or directory was last changed, asked from the server on a network filesystem.
pub(crate) fn modified(file: &OwnedFd) -> Result<(i64, u32), Errno> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC;
    let time = statx(file, c"", flags, StatxFlags::MTIME)?.stx_mtime;
    Ok((time.tv_sec, time.tv_nsec))
}

/// Of a file that is too long, as of a device that never ends, no more than a beginning.
fn read_all(file: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let mut content = Vec::new();
    let mut buffer = [0; 512];
    loop {
        let count = uninterrupted(|| read(file, &mut buffer))?;
        content.extend_from_slice(&buffer[..count]);
        // A short count is the end of a regular file; asking again would be a wasted call.
        if count < buffer.len() || content.len() >= LONGEST {
            return Ok(content);
        }
    }
}

fn write_all(file: &OwnedFd, mut content: &[u8]) -> Result<(), Errno> {
    while !content.is_empty() {
        match uninterrupted(|| write(file, content))? {
            0 => return Err(Errno::NOSPC),
            count => content = &content[count..],
        }
    }
    Ok(())
}

/// Writes what is all of a file from now on.
///
/// It is made shorter after and not emptied before: ext4 writes what was emptied to the disk as
/// soon as it is closed, and to empty it again waits until that is done.
fn write_over(file: &OwnedFd, content: &[u8]) -> Result<(), Errno> {
    write_all(file, content)?;
    let length = content.len() as u64;
    if u64::try_from(fstat(file)?.st_size).is_ok_and(|size| size > length) {
        ftruncate(file, length)?;
    }
    Ok(())
}

/// Whether a file is one as reservations are: regular, its owner's alone, and of one name.
fn is_plain(stat: &Stat) -> bool {
    let mode = stat.st_mode;
    FileType::from_raw_mode(mode) == FileType::RegularFile
        && Mode::from_raw_mode(mode) == Mode::RUSR | Mode::WUSR
        && stat.st_nlink == 1
}

fn uninterrupted<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            outcome => return outcome,
        }
    }
}
