//! One command at a time changes a topology: flock(2) on a file that goes with its last user.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Where the locks are.
const DIRECTORY: &str = "/run/netloom/links";
const PATIENCE: Duration = Duration::from_secs(60);

/// A lock, held until this is dropped.
pub(crate) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes the lock of a topology, which is safe as a file's name.
    pub(crate) fn of(topology: &str) -> Result<Self> {
        let path = Path::new(DIRECTORY).join(format!("{topology}.lock"));
        loop {
            let file = open(&path).with_context(|| format!("open {}", path.display()))?;
            let file = wait(file, &path)?;
            // Whoever held it before has removed the file.
            let is_there = fs::symlink_metadata(&path)
                .is_ok_and(|there| file.metadata().is_ok_and(|own| own.ino() == there.ino()));
            if is_there {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before the lock is given up: another file of that name is another lock.
        let _ = fs::remove_file(&self.path);
        let mut directory = self.path.parent();
        while let Some(empty) = directory.filter(|it| it.starts_with("/run/netloom")) {
            if fs::remove_dir(empty).is_err() {
                break;
            }
            directory = empty.parent();
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    loop {
        fs::create_dir_all(DIRECTORY)?;
        match File::options().create(true).append(true).open(path) {
            // The directory went with another lock.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            outcome => return outcome,
        }
    }
}

fn wait(file: File, path: &Path) -> Result<File> {
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => return Ok(file),
        Err(Errno::WOULDBLOCK) => {}
        Err(errno) => return Err(errno).with_context(|| format!("lock {}", path.display())),
    }
    // flock(2) has no time limit. A thread that is left behind ends with the process.
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let locked = rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockExclusive));
        let _ = sender.send(locked.map(|()| file));
    });
    match receiver.recv_timeout(PATIENCE) {
        Ok(outcome) => outcome.with_context(|| format!("lock {}", path.display())),
        Err(_) => bail!(
            "{} is still held by another command after {} s; try again when that is done",
            path.display(),
            PATIENCE.as_secs()
        ),
    }
}
