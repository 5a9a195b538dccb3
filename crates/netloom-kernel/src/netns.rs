//! Network namespaces: open, compare, enter for the length of a closure.

mod bound;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::LinkNameSpaceType;

use crate::error::{Error, Result, quoted};

pub use bound::{create_at, create_at_with, remove_at};

/// Where a thread finds its own network namespace; `/proc/self` would be the main thread's.
pub(crate) const OF_THIS_THREAD: &str = "/proc/thread-self/ns/net";

/// Why a path cannot be opened as a network namespace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Nothing is there.
    #[error("network namespace \"{}\" does not exist", path.display())]
    NotFound {
        /// The path as given.
        path: PathBuf,
    },
    /// Something is there, but it is not a network namespace: the left-over mount point of one
    /// that is gone, for example, or a namespace of another type.
    #[error("{}", not_a_netns(path, *magic))]
    NotANetns {
        /// The path as given.
        path: PathBuf,
        /// The magic number of the file system that holds it (statfs(2)).
        magic: u64,
    },
    /// Anything else.
    #[error(transparent)]
    Io(#[from] Error),
}

/// The words that callers of the reference plugins know, where they are true.
fn not_a_netns(path: &Path, magic: u64) -> String {
    let path = path.display();
    if magic == libc::NSFS_MAGIC as u64 {
        return format!("\"{path}\" is a namespace, but not a network namespace");
    }
    format!("unknown FS magic on \"{path}\": {magic:x}: it is no network namespace")
}

/// The `CLONE_NEW*` flag of a namespace; files of other file systems refuse the question, each
/// in its own way.
fn namespace_type(fd: BorrowedFd<'_>) -> io::Result<libc::c_int> {
    // SAFETY: NS_GET_NSTYPE takes no argument and returns a CLONE_NEW* flag or -1.
    #[expect(unsafe_code, reason = "rustix has no NS_GET_NSTYPE")]
    let kind = unsafe { libc::ioctl(fd.as_raw_fd(), libc::NS_GET_NSTYPE as _) };
    if kind < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(kind)
}

/// An open network namespace, which lives at least as long as this handle.
#[derive(Debug)]
pub struct Netns {
    fd: OwnedFd,
    path: PathBuf,
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl fmt::Display for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.path.display())
    }
}

/// What makes two handles the same namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetnsId {
    /// The device of the namespace file system.
    pub device: u64,
    /// The inode, which is the number in `net:[4026531833]`.
    pub inode: u64,
}

impl Netns {
    /// Opens a network namespace by a path such as `/var/run/netns/pod1` or `/proc/1234/ns/net`.
    ///
    /// # Errors
    /// [`OpenError`] tells a path that is not there and a file that is no network namespace from
    /// other failures.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let failed = |errno| match errno {
            Errno::NOENT => OpenError::NotFound { path: path.into() },
            errno => Error::of("open network namespace", quoted(path), errno).into(),
        };
        // Not blocking: a FIFO at the path must not hang us.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?;
        let magic = rustix::fs::fstatfs(&fd).map_err(failed)?.f_type as u64;
        // Type and not magic decides: other types of namespaces are on nsfs as well.
        match namespace_type(fd.as_fd()) {
            Ok(libc::CLONE_NEWNET) => Ok(Self {
                fd,
                path: path.into(),
            }),
            Err(error) if magic == libc::NSFS_MAGIC as u64 => {
                Err(Error::of_io("ask the type of namespace", quoted(path), &error).into())
            }
            _ => Err(OpenError::NotANetns {
                path: path.into(),
                magic,
            }),
        }
    }

    /// The namespace of the current thread.
    ///
    /// # Errors
    /// If `/proc` is not mounted, or descriptors have run out.
    pub fn current() -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(OF_THIS_THREAD, flags, Mode::empty())
            .map_err(|e| Error::of("open network namespace", quoted(OF_THIS_THREAD), e))?;
        Ok(Self {
            fd,
            path: OF_THIS_THREAD.into(),
        })
    }

    /// The namespace that a process is in now.
    ///
    /// The process is held by a descriptor before its namespace is looked up, and seen to live
    /// after that: a number that went on to another process meanwhile is not mistaken for it.
    ///
    /// # Errors
    /// [`OpenError::NotFound`] if there is no such process, or it ended meanwhile.
    pub fn of_process(pid: u32) -> Result<Self, OpenError> {
        let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
        let gone = || OpenError::NotFound { path: path.clone() };
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let process = match pidfd_open(raw.ok_or_else(gone)?, PidfdFlags::empty()) {
            Ok(process) => process,
            Err(Errno::SRCH | Errno::INVAL) => return Err(gone()),
            Err(errno) => return Err(Error::of("open process", pid, errno).into()),
        };
        let netns = Self::open(&path)?;
        let mut ended = [PollFd::new(&process, PollFlags::IN)];
        let now = Timespec::default();
        match rustix::event::poll(&mut ended, Some(&now)) {
            Ok(0) => Ok(netns),
            Ok(_) => Err(gone()),
            Err(errno) => Err(Error::of("watch process", pid, errno).into()),
        }
    }

    pub(crate) fn from_fd(fd: OwnedFd, path: &Path) -> Self {
        Self {
            fd,
            path: path.into(),
        }
    }

    /// The path it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The identity of the namespace.
    ///
    /// # Errors
    /// If fstat(2) fails.
    pub fn id(&self) -> Result<NetnsId> {
        let stat = rustix::fs::fstat(&self.fd)
            .map_err(|e| Error::of("identify network namespace", self, e))?;
        Ok(NetnsId {
            device: stat.st_dev,
            inode: stat.st_ino,
        })
    }

    /// Whether both handles are the same namespace.
    ///
    /// # Errors
    /// If fstat(2) fails.
    pub fn is_same(&self, other: &Self) -> Result<bool> {
        Ok(self.id()? == other.id()?)
    }

    /// Runs a closure with the current thread in this namespace, and comes back on every path, a
    /// panic included. Threads that the closure starts stay in this namespace.
    ///
    /// A thread that cannot come back would do all that follows in the wrong network: the process
    /// is aborted then.
    ///
    /// # Errors
    /// If the current namespace cannot be opened or this one cannot be entered; the closure has
    /// not run then.
    pub fn run<T>(&self, inside: impl FnOnce() -> T) -> Result<T> {
        let _home = Home::leave_for(self)?;
        Ok(inside())
    }

    pub(crate) fn enter(&self) -> Result<()> {
        rustix::thread::move_into_link_name_space(self.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|e| Error::of("enter network namespace", self, e))
    }
}

/// The namespace to come back to when this is dropped.
pub(crate) struct Home(Netns);

impl Home {
    fn leave_for(there: &Netns) -> Result<Self> {
        let home = Netns::current()?;
        there.enter()?;
        Ok(Self(home))
    }

    /// Remembers the current namespace, for a caller that leaves it in its own way.
    pub(crate) fn remember() -> Result<Self> {
        Ok(Self(Netns::current()?))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Err(error) = self.0.enter() {
            eprintln!("netloom: cannot return to the thread's network namespace: {error}");
            std::process::abort();
        }
    }
}
