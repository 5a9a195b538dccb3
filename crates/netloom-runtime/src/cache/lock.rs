//! GC must not run together with ADD or DEL (CNI spec 1.1.0, section 3, "Lifecycle & Ordering").
//!
//! Each network has a lock file beside its cached attachments, `locks/<network>.lock`. ADD and DEL
//! share it, GC has it alone. Only runtimes with this library take part.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::retry_on_intr;

use super::{Cache, LINK};
use crate::Error;

/// Held until dropped. The file stays: removing it would let two processes hold two files.
#[derive(Debug)]
pub(crate) struct NetworkLock(#[expect(dead_code, reason = "the lock is the open file")] File);

impl Cache {
    /// Waits while GC of the network runs.
    pub(crate) fn lock_shared(&self, network: &str) -> Result<NetworkLock, Error> {
        self.lock(network, FlockOperation::LockShared)
    }

    /// Waits while an ADD or DEL of the network runs.
    pub(crate) fn lock_exclusive(&self, network: &str) -> Result<NetworkLock, Error> {
        self.lock(network, FlockOperation::LockExclusive)
    }

    fn lock(&self, network: &str, operation: FlockOperation) -> Result<NetworkLock, Error> {
        let path = self.lock_path(network);
        lock(&path, operation)
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

fn lock(path: &Path, operation: FlockOperation) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        if dir.is_symlink() {
            return Err(io::Error::other(format!("{}: {LINK}", dir.display())));
        }
    }
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)?;
    retry_on_intr(|| flock(&file, operation))?;
    Ok(file)
}
