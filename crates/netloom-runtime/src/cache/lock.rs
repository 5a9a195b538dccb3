//! GC must not run together with ADD or DEL (CNI spec 1.1.0, section 3, "Lifecycle & Ordering").
//!
//! Each network has a lock file beside its cached attachments, `locks/<network>.lock`. ADD and DEL
//! share it, GC has it alone. Only runtimes with this library take part. Nobody waits for it for ever: a
//! plugin may hang while somebody holds it.

mod holder;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use netloom_invoke::{Cancellation, Limits};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::{Errno, retry_on_intr};

use super::{Cache, LINK};
use crate::Error;

/// How long ADD and GC wait. A runtime tries again what failed with code 11.
const PATIENCE: Duration = Duration::from_secs(30);

/// After so long a wait is worth a word.
const MOMENT: Duration = Duration::from_secs(1);

/// How long DEL waits, before it goes on without: it and GC only remove, and a pod must be removable.
const PATIENCE_OF_DEL: Duration = Duration::from_secs(5);

/// Held until dropped. The file stays: removing it would let two processes hold two files.
#[derive(Debug)]
pub(crate) struct NetworkLock(#[expect(dead_code, reason = "the lock is the open file")] File);

impl Cache {
    /// Waits while GC of the network runs, for an ADD.
    pub(crate) fn lock_for_add(&self, network: &str) -> Result<NetworkLock, Error> {
        self.lock(network, Mode::Shared, PATIENCE)
    }

    /// Waits for a short while as long as GC of the network runs. What cannot be locked, say on a file
    /// system that is full, must still be removed.
    pub(crate) fn lock_for_del(&self, network: &str) -> Option<NetworkLock> {
        self.lock(network, Mode::Shared, PATIENCE_OF_DEL).ok()
    }

    /// Waits while an ADD or DEL of the network runs.
    pub(crate) fn lock_for_gc(&self, network: &str) -> Result<NetworkLock, Error> {
        self.lock(network, Mode::Exclusive, PATIENCE)
    }

    fn lock(&self, network: &str, mode: Mode, patience: Duration) -> Result<NetworkLock, Error> {
        let path = self.lock_path(network);
        let tell = |held: &str| {
            if let Some(tell) = &self.on_wait {
                tell(&format!(
                    "waiting for the lock of network {network:?}: {held}"
                ));
            }
        };
        let waiting = Waiting {
            patience: self
                .limits
                .time_left()
                .map_or(patience, |left| left.min(patience)),
            limits: &self.limits,
            tell: &tell,
        };
        lock(&path, mode, &waiting)
            .map(NetworkLock)
            .map_err(|cause| Error::Lock {
                network: network.to_owned(),
                path,
                cause,
            })
    }

    fn lock_path(&self, network: &str) -> PathBuf {
        // A name that is no file name gets as far as here only from GC of a bad configuration.
        self.dir
            .join("locks")
            .join(format!("{}.lock", network.replace(['/', '\0'], "_")))
    }
}

/// Who shares the lock with whom.
#[derive(Clone, Copy)]
enum Mode {
    Shared,
    Exclusive,
}

/// How somebody waits for a lock.
struct Waiting<'a> {
    patience: Duration,
    limits: &'a Limits,
    /// Is told who holds it, after a moment.
    tell: &'a dyn Fn(&str),
}

fn lock(path: &Path, mode: Mode, waiting: &Waiting<'_>) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        if dir.is_symlink() {
            return Err(io::Error::other(format!("{}: {LINK}", dir.display())));
        }
    }
    // Not blocking: it may be a fifo.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let at_once = match mode {
        Mode::Shared => FlockOperation::NonBlockingLockShared,
        Mode::Exclusive => FlockOperation::NonBlockingLockExclusive,
    };
    match retry_on_intr(|| flock(&file, at_once)) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => wait(file, path, mode, waiting),
        Err(error) => Err(error.into()),
    }
}

/// flock(2) has no time limit, so a thread waits. One that gets the lock too late gives it back at once.
fn wait(file: File, path: &Path, mode: Mode, waiting: &Waiting<'_>) -> io::Result<File> {
    let (hand_over, locked) = mpsc::channel();
    let patiently = match mode {
        Mode::Shared => FlockOperation::LockShared,
        Mode::Exclusive => FlockOperation::LockExclusive,
    };
    let done = Cancellation::new()?;
    let tell_done = done.clone();
    std::thread::Builder::new().spawn(move || {
        let locked = retry_on_intr(|| flock(&file, patiently));
        let _ = hand_over.send(locked.map(|()| file));
        tell_done.cancel();
    })?;
    let moment = MOMENT.min(waiting.patience);
    let mut news = await_news(&done, waiting.limits, moment)?;
    if matches!(news, News::TimeUp) && waiting.patience > moment {
        (waiting.tell)(&holder::of(path));
        news = await_news(&done, waiting.limits, waiting.patience - moment)?;
    }
    match (news, locked.try_recv()) {
        (_, Ok(done)) => Ok(done?),
        (News::Cancelled, Err(_)) => Err(io::Error::new(
            io::ErrorKind::Interrupted,
            format!("cancelled by the caller: {}", holder::of(path)),
        )),
        (_, Err(_)) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!(
                "not to be had within {} s: {}",
                waiting.patience.as_secs_f32(),
                holder::of(path)
            ),
        )),
    }
}

enum News {
    Done,
    Cancelled,
    TimeUp,
}

fn await_news(done: &Cancellation, limits: &Limits, patience: Duration) -> io::Result<News> {
    let watched = std::iter::once(done).chain(limits.cancellations());
    let mut fds: Vec<_> = watched.map(|it| PollFd::new(it, PollFlags::IN)).collect();
    let end = Instant::now() + patience;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(0) => return Ok(News::TimeUp),
            Ok(_) if !fds[0].revents().is_empty() => return Ok(News::Done),
            Ok(_) => return Ok(News::Cancelled),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(path: &Path, mode: Mode, patience: Duration, tell: &dyn Fn(&str)) -> io::Result<File> {
        let limits = &Limits::none();
        let waiting = Waiting {
            patience,
            limits,
            tell,
        };
        super::lock(path, mode, &waiting)
    }

    #[test]
    fn a_lock_that_is_held_is_given_up_in_time_and_its_holder_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("locks/net.lock");
        let held = lock(&path, Mode::Exclusive, PATIENCE, &|_| {}).unwrap();
        for mode in [Mode::Shared, Mode::Exclusive] {
            let error = lock(&path, mode, Duration::from_millis(20), &|_| {}).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            let pid = format!("process {} ", std::process::id());
            assert!(error.to_string().contains(&pid), "{error}");
        }
        drop(held);
        lock(&path, Mode::Exclusive, PATIENCE, &|_| {}).unwrap();
    }

    #[test]
    fn a_lock_that_comes_free_while_one_waits_is_had() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("net.lock");
        let held = lock(&path, Mode::Shared, PATIENCE, &|_| {}).unwrap();
        lock(&path, Mode::Shared, PATIENCE, &|_| {}).unwrap();
        let waiting = {
            let path = path.clone();
            std::thread::spawn(move || lock(&path, Mode::Exclusive, PATIENCE, &|_| {}))
        };
        drop(held);
        waiting.join().unwrap().unwrap();
    }

    #[test]
    fn who_waits_for_more_than_a_moment_is_told_by_whom_it_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("net.lock");
        let _held = lock(&path, Mode::Exclusive, PATIENCE, &|_| {}).unwrap();
        let told = std::cell::RefCell::new(String::new());
        let tell = |held: &str| told.borrow_mut().push_str(held);
        let patience = MOMENT + Duration::from_millis(20);
        lock(&path, Mode::Shared, patience, &tell).unwrap_err();
        assert!(
            told.borrow()
                .contains(&format!("process {} ", std::process::id()))
        );
    }

    #[test]
    fn who_waits_is_heard_when_the_call_is_cancelled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("net.lock");
        let _held = lock(&path, Mode::Exclusive, PATIENCE, &|_| {}).unwrap();
        let cancellation = Cancellation::new().unwrap();
        let limits = Limits::none().cancelled_by(&cancellation);
        // Told after a moment, by which time it waits.
        let waiting = Waiting {
            patience: PATIENCE,
            limits: &limits,
            tell: &|_| cancellation.cancel(),
        };
        let error = super::lock(&path, Mode::Shared, &waiting).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted, "{error}");
    }
}
