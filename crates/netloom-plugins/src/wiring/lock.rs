//! A lock that other processes, the Go reference's plugins among them, take too: flock(2) on a file.

use netloom_spec::{Error, code};
use rustix::fs::{AtFlags, FlockOperation, StatxFlags, flock, statx};
use rustix::io::Errno;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Why a lock could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error("cannot {operation} {}: {errno}", .path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        errno: Errno,
    },
    #[error(
        "lock {} is still held by {holder} after {} s; try again when that process is done",
        .path.display(), rounded(*.waited)
    )]
    Held {
        path: PathBuf,
        holder: String,
        waited: Duration,
    },
}

/// Seconds, whole ones from one on.
fn rounded(waited: Duration) -> f32 {
    match waited.as_secs_f32() {
        seconds if seconds < 1.0 => seconds,
        seconds => seconds.round(),
    }
}

impl From<LockError> for Error {
    fn from(error: LockError) -> Self {
        let code = match &error {
            LockError::Io { .. } => code::IO,
            LockError::Held { .. } => code::TRY_AGAIN_LATER,
        };
        Self::new(code, error.to_string())
    }
}

/// Takes the lock for as long as the returned file stays open, waiting for at most `limit`.
///
/// flock(2) has no time limit, so if the lock is not free at once a thread waits for it. After the
/// time limit that thread is left behind; when it gets the lock nobody receives the file, so it is
/// closed and the lock is free again.
pub(crate) fn acquire(file: OwnedFd, path: &Path, limit: Duration) -> Result<OwnedFd, LockError> {
    match lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => return Ok(file),
        Err(Errno::WOULDBLOCK) => {}
        Err(errno) => return Err(failed("lock", path)(errno)),
    }
    // Looked up through a second descriptor, because the thread owns the first.
    let watched = file.try_clone().map_err(failed_std("watch", path))?;
    let ours = Arc::new(Handover::default());
    let theirs = Arc::clone(&ours);
    thread::Builder::new()
        .name("lock".into())
        .spawn(move || theirs.give(lock(&file, FlockOperation::LockExclusive).map(|()| file)))
        .map_err(failed_std("wait for", path))?;
    match ours.take(limit) {
        Some(outcome) => outcome.map_err(failed("lock", path)),
        None => {
            let holder = holder(&watched).unwrap_or_else(|| "an unknown process".to_owned());
            Err(LockError::Held {
                path: path.to_owned(),
                holder,
                waited: limit,
            })
        }
    }
}

/// From the thread that waits for a lock to the one that wants it. (A channel of the standard library would add to
/// what every start of a plugin sets up for its threads.)
#[derive(Default)]
struct Handover {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
enum State {
    #[default]
    Waiting,
    Done(Result<OwnedFd, Errno>),
    /// Nobody wants it any more.
    GivenUp,
}

impl Handover {
    /// After the time limit the file is closed instead.
    fn give(&self, outcome: Result<OwnedFd, Errno>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Waiting) {
            *state = State::Done(outcome);
            self.changed.notify_one();
        }
    }

    /// What was given within the time limit.
    fn take(&self, limit: Duration) -> Option<Result<OwnedFd, Errno>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_waiting = |state: &mut State| matches!(state, State::Waiting);
        let waited = self.changed.wait_timeout_while(state, limit, is_waiting);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::GivenUp) {
            State::Done(outcome) => Some(outcome),
            State::Waiting | State::GivenUp => None,
        }
    }
}

/// For `map_err`: names the operation and its object.
fn failed(operation: &'static str, path: &Path) -> impl FnOnce(Errno) -> LockError {
    let path = path.to_owned();
    move |errno| LockError::Io {
        operation,
        path,
        errno,
    }
}

fn failed_std(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> LockError {
    let failed = failed(operation, path);
    move |error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

fn lock(file: &OwnedFd, operation: FlockOperation) -> Result<(), Errno> {
    loop {
        match flock(file, operation) {
            Err(Errno::INTR) => {}
            outcome => return outcome,
        }
    }
}

/// Who holds the lock, as far as /proc tells.
fn holder(file: &OwnedFd) -> Option<String> {
    let stat = statx(file.as_fd(), c"", AtFlags::EMPTY_PATH, StatxFlags::INO).ok()?;
    let (major, minor, ino) = (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
    let file = format!("{major:02x}:{minor:02x}:{ino}");
    let pid = holder_in(&fs::read_to_string("/proc/locks").ok()?, &file)?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(match name.trim() {
        "" => format!("process {pid}"),
        name => format!("process {pid} ({name})"),
    })
}

/// The process that holds a flock on `file` (`major:minor:inode`) according to /proc/locks.
/// Those that wait for it have an arrow in the second column.
fn holder_in(locks: &str, file: &str) -> Option<u32> {
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields[..] {
            [_, "FLOCK", _, _, pid, at, ..] if at == file => {
                pid.parse().ok().filter(|pid| *pid > 0)
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn open(path: &Path) -> OwnedFd {
        fs::File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap()
            .into()
    }

    #[test]
    fn a_held_lock_is_an_error_that_names_the_holder_and_a_released_one_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = acquire(open(&path), &path, Duration::ZERO).unwrap();
        let error = acquire(open(&path), &path, Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, LockError::Held { .. }));
        let text = error.to_string();
        let me = format!("process {} (", std::process::id());
        assert!(
            text.contains(path.to_str().unwrap()) && text.contains(&me),
            "{text}"
        );
        drop(first);
        // The thread left behind by the failed attempt must have given the lock back.
        acquire(open(&path), &path, Duration::from_secs(10)).unwrap();
    }

    #[test]
    fn a_waiter_gets_the_lock_the_moment_it_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = acquire(open(&path), &path, Duration::ZERO).unwrap();
        let waiter = {
            let path = path.clone();
            thread::spawn(move || acquire(open(&path), &path, Duration::from_secs(60)))
        };
        drop(first);
        let before = Instant::now();
        waiter.join().unwrap().unwrap();
        assert!(before.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn the_holder_is_told_from_those_who_wait() {
        let locks = "1: POSIX  ADVISORY  WRITE 10 fd:00:7 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 11 fd:00:7 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 12 fd:00:77 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE 13 fd:00:7 0 EOF\n";
        assert_eq!(holder_in(locks, "fd:00:7"), Some(13));
        assert_eq!(holder_in(locks, "fd:00:8"), None);
    }
}
