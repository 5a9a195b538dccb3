//! Waiting for a directory of configurations to change.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use super::{Directory, Error, directory};

/// What changes a configuration: a file that was written, or got or lost its name.
const OF_FILES: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF);

/// The configurations of a directory, which need not be there yet, and whoever waits for others.
///
/// ```no_run
/// use netloom_runtime::load;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut watcher = load::Watcher::new("/etc/cni/net.d")?;
/// loop {
///     for network in &watcher.current().networks {
///         println!("{} ({})", network.list.name, network.path.display());
///     }
///     watcher.wait(None)?;
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Watcher {
    inotify: OwnedFd,
    current: Directory,
}

impl Watcher {
    /// Loads `dir`, and watches it, and the directories in it, where plugins stand beside their list.
    ///
    /// # Errors
    /// [`Error::Read`] when it cannot be read or watched (inotify(7)).
    pub fn new(dir: impl AsRef<Path>) -> Result<Self, Error> {
        let dir = dir.as_ref();
        // Watched first: what changes meanwhile is loaded again.
        let inotify = watch(dir)?;
        let current = directory(dir)?;
        Ok(Self { inotify, current })
    }

    /// What there is, as of the last wait.
    pub fn current(&self) -> &Directory {
        &self.current
    }

    /// Waits until there are other configurations, or other problems, and tells whether; `false` after
    /// `time`, of which `None` is for ever. What is written anew and says the same is no change.
    ///
    /// # Errors
    /// As [`Watcher::new`].
    pub fn wait(&mut self, time: Option<Duration>) -> Result<bool, Error> {
        let deadline = time.and_then(|time| Instant::now().checked_add(time));
        loop {
            let path = self.current.path.clone();
            if !is_ready(&self.inotify, deadline).map_err(|cause| failed(&path, cause))? {
                return Ok(false);
            }
            // Anew, as the directory itself may have come or gone.
            let next = Self::new(path)?;
            let is_other = !is_same(&self.current, &next.current);
            *self = next;
            if is_other {
                return Ok(true);
            }
        }
    }

    /// Empties what the kernel told, for a caller that polls the descriptor. It is another descriptor
    /// after each [`Watcher::wait`] that returned `true`.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn drain(&self) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        loop {
            match reader.next() {
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Readable when [`Watcher::wait`] may have something.
impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

fn failed(path: &Path, cause: io::Error) -> Error {
    Error::Read {
        path: path.to_owned(),
        cause,
    }
}

/// Watches a directory and those in it; where it is not there, the nearest above it that is.
fn watch(dir: &Path) -> Result<OwnedFd, Error> {
    let failed = |error: Errno| failed(dir, error.into());
    let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(failed)?;
    let mut at = dir;
    loop {
        match inotify::add_watch(&inotify, or_here(at), OF_FILES) {
            Ok(_) => break,
            Err(Errno::NOENT | Errno::NOTDIR) if at.parent().is_some() => {
                at = at.parent().unwrap_or(at);
            }
            Err(error) => return Err(failed(error)),
        }
    }
    for inside in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path: PathBuf = inside.path();
        if path.is_dir() {
            // It may be gone by now.
            let _ = inotify::add_watch(&inotify, &path, OF_FILES | WatchFlags::ONLYDIR);
        }
    }
    Ok(inotify)
}

fn or_here(dir: &Path) -> &Path {
    match dir.as_os_str() == OsStr::new("") {
        true => Path::new("."),
        false => dir,
    }
}

fn is_ready(inotify: &OwnedFd, deadline: Option<Instant>) -> io::Result<bool> {
    let mut fds = [PollFd::new(inotify, PollFlags::IN)];
    loop {
        let left = deadline.map(|it| it.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Err(Errno::INTR) => {}
            ready => return Ok(ready? > 0),
        }
    }
}

fn is_same(one: &Directory, other: &Directory) -> bool {
    let problems = |it: &Directory| -> Vec<_> {
        let each = it.problems.iter();
        each.map(|it| (it.path.clone(), it.error.to_string()))
            .collect()
    };
    one.networks == other.networks && problems(one) == problems(other)
}
