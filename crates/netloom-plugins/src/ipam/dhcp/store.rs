//! Leases on disk, so that a daemon that starts again goes on with them.
//!
//! One file for each attachment in a directory beside the socket: daemon and plugin find it by the
//! same `daemonSocketPath`, and daemons with different sockets do not share it. A lease means
//! nothing after a reboot, when the pods are gone, so `/run` is the place. Who holds the lock of
//! the directory is the daemon.

use super::config::Wanted;
use super::error::DhcpError;
use super::identity::{Identity, LongId};
use super::v4;
use super::v6;
use crate::wiring::setup_error::one_line;
use crate::wiring::{lock, state_file};
use netloom_kernel::netns::NetnsId;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Whoever holds it has the leases.
const LOCK: &str = "lock";

/// One attachment with its leases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    #[serde(flatten)]
    pub(super) identity: Identity,
    /// The path as the plugin was given it.
    pub(super) netns: String,
    /// Device and inode of the namespace.
    pub(super) netns_id: Option<(u64, u64)>,
    /// The run of the kernel in which the times below mean something.
    pub(super) boot_id: String,
    pub(super) wanted: Wanted,
    /// Files of former releases do not say it.
    #[serde(default)]
    pub(super) long_id: LongId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ipv4: Option<v4::lease::Lease>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ipv6: Option<v6::lease::Lease>,
    /// Why the pod may not use it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lost: Option<String>,
}

impl Record {
    /// Reads a file. What is wrong with it is told in one line, whatever is in it.
    pub(super) fn parse(content: &[u8]) -> io::Result<Self> {
        serde_json::from_slice(content).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, one_line(&error.to_string()))
        })
    }

    pub(super) fn netns_id(&self) -> Option<NetnsId> {
        let (device, inode) = self.netns_id?;
        Some(NetnsId { device, inode })
    }
}

/// The run of the kernel.
pub(super) fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// Where the leases of the daemon at a socket are.
pub(super) fn directory(socket: &Path) -> PathBuf {
    let mut directory = socket.as_os_str().to_owned();
    directory.push(".leases");
    directory.into()
}

/// The directory, locked against every other daemon.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
    _lock: OwnedFd,
}

impl Store {
    /// Opens the directory, which is made if it is missing. `None` if somebody else has it.
    pub(super) fn open(directory: PathBuf) -> io::Result<Option<Self>> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)?;
        Self::lock(directory)
    }

    /// Opens the directory, if it is there, as soon as nobody else has it.
    ///
    /// # Errors
    /// [`DhcpError::Held`] when somebody has it for longer than `limit`.
    pub(super) fn open_existing(
        directory: PathBuf,
        limit: Duration,
    ) -> Result<Option<Self>, DhcpError> {
        let open = || match directory.try_exists()? {
            true => open_lock(&directory).map(Some),
            false => Ok(None),
        };
        let opened = open().map_err(|cause| DhcpError::Leases {
            directory: directory.clone(),
            cause,
        });
        let Some(file) = opened? else {
            return Ok(None);
        };
        let lock = lock::acquire(file.into(), &directory.join(LOCK), limit)?;
        Ok(Some(Self {
            directory,
            _lock: lock,
        }))
    }

    fn lock(directory: PathBuf) -> io::Result<Option<Self>> {
        let lock = open_lock(&directory)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self {
                directory,
                _lock: lock.into(),
            })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes a lease. Whoever reads sees the old one or the new one.
    pub(super) fn write(&self, record: &Record) -> io::Result<()> {
        let path = self.directory.join(record.identity.file_name());
        state_file::replace(&path, &serde_json::to_vec_pretty(record)?)
    }

    /// The lease of an attachment, if there is one.
    pub(super) fn read(&self, identity: &Identity) -> io::Result<Option<Record>> {
        let content = state_file::read(&self.directory.join(identity.file_name()))?;
        content.map(|bytes| Record::parse(&bytes)).transpose()
    }

    /// Removes the lease of an attachment; one that is not there is removed already.
    pub(super) fn remove(&self, identity: &Identity) -> io::Result<()> {
        state_file::remove(&self.directory.join(identity.file_name()))
    }

    /// All leases, and what is wrong with files that are none. Those of an earlier run of the
    /// kernel are removed: their pods are gone.
    pub(super) fn list(&self) -> io::Result<(Vec<Record>, Vec<String>)> {
        let (files, broken) = read_all(&self.directory)?;
        let boot_id = boot_id();
        let mut records = Vec::new();
        for (path, record) in files {
            if record.boot_id == boot_id {
                records.push(record);
            } else {
                state_file::remove(&path)?;
            }
        }
        let told = |(path, error): (PathBuf, io::Error)| format!("{}: {error}", path.display());
        Ok((records, broken.into_iter().map(told).collect()))
    }
}

fn open_lock(directory: &Path) -> io::Result<File> {
    if fs::symlink_metadata(directory)?.is_symlink() {
        let what = "it is a symbolic link, which is not followed";
        return Err(io::Error::other(what));
    }
    state_file::open_lock(&directory.join(LOCK))
}

type Files<T> = Vec<(PathBuf, T)>;

/// All leases in a directory, and the files that are none.
pub(super) fn read_all(directory: &Path) -> io::Result<(Files<Record>, Files<io::Error>)> {
    let (mut records, mut broken) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let parse = |bytes: Vec<u8>| Record::parse(&bytes);
        match state_file::read(&path).and_then(|read| read.map(parse).transpose()) {
            // Removed meanwhile, or a link.
            Ok(None) => {}
            Ok(Some(record)) => records.push((path, record)),
            Err(error) => broken.push((path, error)),
        }
    }
    Ok((records, broken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_file_is_told_in_one_line() {
        let error = Record::parse(br#"{"ipv4": {"times": {"renew": {"a\nb": 1}}}}"#).unwrap_err();
        assert!(!error.to_string().contains('\n'), "{error}");
        assert!(error.to_string().contains("a b"), "{error}");
    }
}
