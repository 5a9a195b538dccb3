//! Network namespaces: made and removed at a path, as `ip netns` does, and watched.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use netloom_kernel::netns::Netns;
pub use netloom_kernel::netns::{NetnsId, create_at as create, remove_at as remove};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// The table of mounts of this thread's mount namespace. It is ready when the table changes.
const MOUNTS: &str = "/proc/thread-self/mountinfo";

/// What happened to a path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A network namespace is bound to it now.
    Appeared(PathBuf),
    /// The one that was is not any more.
    Gone(PathBuf),
}

/// Knows which network namespaces are bound in a directory such as `/run/netns`, and waits for changes
/// of that: somebody's `ip netns add` or `del`, or a runtime's. It sees mounts of the mount namespace
/// of the thread that made it.
///
/// ```no_run
/// use netloom_runtime::netns;
///
/// # fn main() -> std::io::Result<()> {
/// let mut watcher = netns::Watcher::new("/run/netns")?;
/// loop {
///     for change in watcher.wait(None)? {
///         println!("{change:?}");
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Watcher {
    dir: PathBuf,
    mounts: File,
    known: BTreeMap<PathBuf, NetnsId>,
}

impl Watcher {
    /// Watches `dir`, which need not be there yet.
    ///
    /// # Errors
    /// When `/proc` is not mounted, or the directory cannot be read.
    pub fn new(dir: impl Into<PathBuf>) -> io::Result<Self> {
        let (dir, mounts) = (dir.into(), File::open(MOUNTS)?);
        let known = namespaces(&dir)?;
        Ok(Self { dir, mounts, known })
    }

    /// The paths of those that are there, sorted, as of the last wait.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.known.keys().map(PathBuf::as_path)
    }

    /// Waits for changes; none after `time`, of which `None` is for ever. A path whose namespace was replaced is
    /// gone and has appeared.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn wait(&mut self, time: Option<Duration>) -> io::Result<Vec<Change>> {
        let deadline = time.and_then(|time| Instant::now().checked_add(time));
        loop {
            let is_ready = self.is_ready(deadline)?;
            let now = namespaces(&self.dir)?;
            let changes = changes(&self.known, &now);
            self.known = now;
            if !changes.is_empty() || !is_ready {
                return Ok(changes);
            }
        }
    }

    fn is_ready(&self, deadline: Option<Instant>) -> io::Result<bool> {
        let mut fds = [PollFd::new(&self.mounts, PollFlags::PRI)];
        loop {
            let left = deadline.map(|it| it.saturating_duration_since(Instant::now()));
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            match poll(&mut fds, timeout.as_ref()) {
                Err(Errno::INTR) => {}
                ready => return Ok(ready? > 0),
            }
        }
    }
}

/// Ready, as an exceptional condition (`POLLPRI`), when [`Watcher::wait`] may have something.
impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.mounts.as_fd()
    }
}

/// The namespaces bound in a directory. What is something else is passed over.
fn namespaces(dir: &Path) -> io::Result<BTreeMap<PathBuf, NetnsId>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries?,
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        let id = Netns::open(&path).ok().and_then(|netns| netns.id().ok());
        found.extend(id.map(|id| (path, id)));
    }
    Ok(found)
}

fn changes(before: &BTreeMap<PathBuf, NetnsId>, now: &BTreeMap<PathBuf, NetnsId>) -> Vec<Change> {
    let gone = before
        .iter()
        .filter(|(path, id)| now.get(*path) != Some(id));
    let new = now
        .iter()
        .filter(|(path, id)| before.get(*path) != Some(id));
    gone.map(|(path, _)| Change::Gone(path.clone()))
        .chain(new.map(|(path, _)| Change::Appeared(path.clone())))
        .collect()
}
