//! One directory, and the few things done with the names in it.

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, StatxFlags, Timespec, Timestamps, UTIME_OMIT, fstat,
    ftruncate, futimens, openat, readlinkat, renameat, statx, symlinkat, unlinkat,
};
use rustix::io::{Errno, read, write};
use std::fs::DirBuilder;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// An open directory.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    fd: OwnedFd,
}

impl Directory {
    pub(super) fn open(path: PathBuf) -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&path, flags, Mode::empty())?;
        Ok(Self { path, fd })
    }

    /// Opens the directory and makes it, and those above it, if it is absent.
    pub(super) fn create(path: PathBuf, mode: u32) -> Result<Self, Errno> {
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

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The names of everything that is no directory, in no order.
    pub(super) fn names(&self) -> Result<Vec<String>, Errno> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd)? {
            let entry = entry?;
            if entry.file_type() != FileType::Directory {
                // Nothing that is of interest here has a name that is no text.
                names.extend(entry.file_name().to_str().ok().map(str::to_owned));
            }
        }
        Ok(names)
    }

    /// The whole content of a file.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, Errno> {
        // Not blocking: nobody must be able to stall us by a fifo of that name.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.fd, name, flags, Mode::empty())?;
        let mut content = Vec::new();
        let mut buffer = [0; 512];
        loop {
            let count = uninterrupted(|| read(&file, &mut buffer))?;
            content.extend_from_slice(&buffer[..count]);
            // A short count is the end of a regular file; asking again would be a wasted call.
            if count < buffer.len() {
                return Ok(content);
            }
        }
    }

    /// Writes a file in place; one that is absent is created with mode 0600.
    ///
    /// It is made shorter after and not emptied before: ext4 writes what was emptied to the disk
    /// as soon as it is closed, and to empty it again waits until that is done.
    pub(super) fn overwrite(&self, name: &str, content: &[u8]) -> Result<(), Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        let file = openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR)?;
        write_all(&file, content)?;
        let length = content.len() as u64;
        if u64::try_from(fstat(&file)?.st_size).is_ok_and(|size| size > length) {
            ftruncate(&file, length)?;
        }
        Ok(())
    }

    /// Writes a new file of mode 0600. A file of that name is removed first and never written
    /// to: it may have another name as well.
    pub(super) fn write_new(&self, name: &str, content: &[u8]) -> Result<(), Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let open = || openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR);
        let file = match open() {
            Err(Errno::EXIST) => {
                self.remove(name)?;
                open()?
            }
            outcome => outcome?,
        };
        write_all(&file, content)
    }

    /// Removes a file; false if there was none.
    pub(super) fn remove(&self, name: &str) -> Result<bool, Errno> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Where a symbolic link points to, if there is one.
    pub(super) fn link(&self, name: &str) -> Result<Option<String>, Errno> {
        match readlinkat(&self.fd, name, Vec::new()) {
            Ok(target) => Ok(Some(target.to_string_lossy().into_owned())),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Makes a symbolic link; what has that name is replaced.
    pub(super) fn set_link(&self, name: &str, target: &str, draft: &str) -> Result<(), Errno> {
        match symlinkat(target, &self.fd, name) {
            Err(Errno::EXIST) => {}
            outcome => return outcome,
        }
        self.remove(draft)?;
        symlinkat(target, &self.fd, draft)?;
        renameat(&self.fd, draft, &self.fd, name)
    }

    /// When the directory was last changed, asked from the server on a network filesystem.
    pub(super) fn modified(&self) -> Result<(i64, u32), Errno> {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC;
        let time = statx(&self.fd, c"", flags, StatxFlags::MTIME)?.stx_mtime;
        Ok((time.tv_sec, time.tv_nsec))
    }

    pub(super) fn set_modified(&self, (seconds, nanoseconds): (i64, u32)) -> Result<(), Errno> {
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

fn write_all(file: &OwnedFd, mut content: &[u8]) -> Result<(), Errno> {
    while !content.is_empty() {
        match uninterrupted(|| write(file, content))? {
            0 => return Err(Errno::NOSPC),
            count => content = &content[count..],
        }
    }
    Ok(())
}

fn uninterrupted<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            outcome => return outcome,
        }
    }
}
