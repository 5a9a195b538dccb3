//! The file store: who is attached on this host, for whoever comes second to find.
//!
//! In `<store>/<network>/`, root's alone, all changed under one lock on the directory itself:
//!
//! | file | content |
//! |---|---|
//! | `<container id>:<interface>` | the record of an attachment |
//! | `pod-<hash of its name>` | the name of the record of the pod's newest attachment |
//! | `asked-<hash of its name>/<container id>:<interface>` | empty: that attachment asks alone to be linked to the pod |
//! | `far` | the daemon's, if there is one: pods of other hosts |
//!
//! No name of a pod is part of a path.

use super::far::Far;
use super::record::Record;
use crate::wiring::lock;
use crate::wiring::owner::{Owner, hash16};
use crate::wiring::state_file;
use netloom_spec::{Error, NetworkName, code};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a call may take to get the lock. Others have it for milliseconds. Delegates have none.
const PATIENCE: Duration = Duration::from_secs(30);
/// The run of the kernel.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const INDEX: &str = "pod-";
const ASKED: &str = "asked-";
const FAR: &str = "far";

/// The files of one network.
#[derive(Clone, Debug)]
pub(super) struct Store {
    directory: PathBuf,
    boot: String,
}

/// What is in a store.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) records: Vec<(PathBuf, Record)>,
    /// Files that should be records and are none.
    pub(super) broken: Vec<PathBuf>,
}

impl Store {
    pub(super) fn of(root: &Path, network: &NetworkName) -> Result<Self, Error> {
        let boot = fs::read_to_string(BOOT_ID);
        let boot = boot.map_err(failed("read", Path::new(BOOT_ID)))?;
        Ok(Self {
            directory: root.join(network.as_str()),
            boot: boot.trim().to_owned(),
        })
    }

    /// The run of the kernel.
    pub(super) fn boot(&self) -> &str {
        &self.boot
    }

    /// Makes the directory.
    pub(super) fn create(&self) -> Result<(), Error> {
        let made = state_file::ensure_directory(&self.directory);
        made.and_then(|()| require_own(&self.directory))
            .map_err(failed("create", &self.directory))
    }

    /// Makes the directory and takes its lock.
    pub(super) fn lock(&self) -> Result<OwnedFd, Error> {
        self.create()?;
        match self.lock_if_there()? {
            Some(lock) => Ok(lock),
            None => Err(failed("lock", &self.directory)(ErrorKind::NotFound.into())),
        }
    }

    /// Takes the lock; `None` if nothing was ever kept, or is: a link to a directory is none.
    pub(super) fn lock_if_there(&self) -> Result<Option<OwnedFd>, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::open(&self.directory, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            opened => opened.map_err(|errno| failed("open", &self.directory)(errno.into()))?,
        };
        Ok(Some(lock::acquire(file, &self.directory, PATIENCE)?))
    }

    /// Whether ADD could keep something: for STATUS, which makes nothing.
    pub(super) fn usable(&self) -> Result<(), Error> {
        let there = self.directory.ancestors().find(|path| path.exists());
        match there.filter(|path| !path.is_dir()) {
            Some(path) => Err(failed("use", path)(ErrorKind::NotADirectory.into())),
            None => Ok(()),
        }
    }

    /// The file of an attachment, if there is anything of its name.
    pub(super) fn file_of(&self, owner: Owner<'_>) -> Option<PathBuf> {
        let path = self.directory.join(name_of(owner));
        path.symlink_metadata().is_ok().then_some(path)
    }

    /// Removes what leads to a record that is not there, or is none any more.
    pub(super) fn sweep(&self) -> Result<(), Error> {
        for path in self.entries(&self.directory)? {
            let name = path.file_name().and_then(|name| name.to_str());
            match name {
                Some(name) if name.starts_with(INDEX) => {
                    let content = state_file::read(&path).map_err(failed("read", &path))?;
                    let led_to = content.and_then(|bytes| String::from_utf8(bytes).ok());
                    self.sweep_one(&path, &led_to.unwrap_or_default())?;
                }
                Some(name) if name.starts_with(ASKED) => {
                    for path in self.entries(&path)? {
                        let name = path.file_name().unwrap_or_default().to_string_lossy();
                        self.sweep_one(&path, &name)?;
                    }
                    // Others ask for the pod as well.
                    let _ = fs::remove_dir(&path);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn sweep_one(&self, path: &Path, led_to: &str) -> Result<(), Error> {
        let record = self.read(led_to)?;
        match record.is_some_and(|record| name_of(record.owner()) == led_to) {
            true => Ok(()),
            false => state_file::remove(path).map_err(failed("remove", path)),
        }
    }

    /// What is in a directory, if it is one.
    fn entries(&self, directory: &Path) -> Result<Vec<PathBuf>, Error> {
        if require_own(directory).is_err() {
            return Ok(Vec::new());
        }
        let list = || {
            fs::read_dir(directory)?
                .map(|entry| Ok(entry?.path()))
                .collect()
        };
        let listed: io::Result<Vec<PathBuf>> = list();
        listed.map_err(failed("list", directory))
    }

    /// The record of an attachment. One that is broken, or somebody else's, is none.
    pub(super) fn record_of(&self, owner: Owner<'_>) -> Result<Option<Record>, Error> {
        let record = self.read(&name_of(owner))?;
        Ok(record.filter(|record| record.is_of(owner)))
    }

    /// Keeps a record. After a loss of power, one with a delegate is what addresses are released by.
    pub(super) fn save(&self, record: &Record) -> Result<(), Error> {
        let path = self.directory.join(name_of(record.owner()));
        let write = match record.has_delegate() {
            true => state_file::replace_on_disk,
            false => state_file::replace,
        };
        write(&path, &record.to_bytes()).map_err(failed("write", &path))
    }

    /// Removes the record of an attachment, and whatever is under its name.
    pub(super) fn forget(&self, owner: Owner<'_>) -> Result<(), Error> {
        let path = self.directory.join(name_of(owner));
        state_file::remove(&path).map_err(failed("remove", &path))
    }

    /// The record of a pod's newest attachment.
    pub(super) fn current(&self, pod: &str) -> Result<Option<Record>, Error> {
        let Some(name) = self.current_name(pod)? else {
            return Ok(None);
        };
        let record = self.read(&name)?;
        Ok(record.filter(|record| record.pod == pod && name_of(record.owner()) == name))
    }

    /// Whether a daemon tells of pods of other hosts.
    pub(super) fn has_far(&self) -> bool {
        self.directory.join(FAR).exists()
    }

    /// Pods of other hosts; `None` if no daemon tells of any.
    pub(super) fn far(&self) -> Result<Option<Far>, Error> {
        let path = self.directory.join(FAR);
        let content = state_file::read(&path).map_err(failed("read", &path))?;
        Ok(content.map(|bytes| Far::parse(&bytes)))
    }

    /// Makes an attachment its pod's newest.
    pub(super) fn point(&self, record: &Record) -> Result<(), Error> {
        let path = self.index_of(&record.pod);
        state_file::replace(&path, name_of(record.owner()).as_bytes())
            .map_err(failed("write", &path))
    }

    /// The other way round; a later attachment of the pod stays its newest.
    pub(super) fn unpoint(&self, record: &Record) -> Result<(), Error> {
        let path = self.index_of(&record.pod);
        let newest = self.current_name(&record.pod)?;
        if newest.is_some_and(|newest| newest != name_of(record.owner())) {
            return Ok(());
        }
        // And what is left of one that was being written.
        state_file::remove(&path).map_err(failed("remove", &path))
    }

    pub(super) fn is_current(&self, record: &Record) -> Result<bool, Error> {
        Ok(self.current_name(&record.pod)? == Some(name_of(record.owner())))
    }

    /// Notes whom an attachment asks for alone.
    pub(super) fn ask(&self, record: &Record) -> Result<(), Error> {
        for pod in record.asks_alone() {
            let directory = self.asked_of(&pod);
            let path = directory.join(name_of(record.owner()));
            let write = || {
                state_file::ensure_directory(&directory)?;
                require_own(&directory)?;
                state_file::replace(&path, b"")
            };
            write().map_err(failed("write", &path))?;
        }
        Ok(())
    }

    /// The other way round.
    pub(super) fn stop_asking(&self, record: &Record) -> Result<(), Error> {
        for pod in record.asks_alone() {
            let directory = self.asked_of(&pod);
            if require_own(&directory).is_err() {
                continue;
            }
            let path = directory.join(name_of(record.owner()));
            state_file::remove(&path).map_err(failed("remove", &path))?;
            // Others ask for the pod as well.
            let _ = fs::remove_dir(&directory);
        }
        Ok(())
    }

    /// The records of those that ask alone to be linked to a pod.
    pub(super) fn askers(&self, pod: &str) -> Result<Vec<Record>, Error> {
        let mut found = Vec::new();
        for path in self.entries(&self.asked_of(pod))? {
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(name) = name.filter(|name| !name.starts_with('.')) else {
                continue;
            };
            let record = self.read(name)?;
            let record = record.filter(|record| name_of(record.owner()) == name);
            if let Some(record) = record
                && self.is_current(&record)?
            {
                found.push(record);
            }
        }
        Ok(found)
    }

    /// All records: for GC and doctor.
    pub(super) fn list(&self) -> Result<Listed, Error> {
        let mut listed = Listed::default();
        for path in self.entries(&self.directory)? {
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(name) = name.filter(|name| name.contains(':')) else {
                continue;
            };
            match self.read(name) {
                Ok(Some(record)) if name_of(record.owner()) == name => {
                    listed.records.push((path, record));
                }
                _ => listed.broken.push(path),
            }
        }
        Ok(listed)
    }

    fn current_name(&self, pod: &str) -> Result<Option<String>, Error> {
        let path = self.index_of(pod);
        let content = state_file::read(&path).map_err(failed("read", &path))?;
        Ok(content.and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    /// The record in a file. What is no record is as if it were not there.
    fn read(&self, name: &str) -> Result<Option<Record>, Error> {
        if name.contains('/') || !name.contains(':') {
            return Ok(None);
        }
        let path = self.directory.join(name);
        let content = state_file::read(&path).map_err(failed("read", &path))?;
        Ok(content.and_then(|bytes| Record::parse(&bytes)))
    }

    fn index_of(&self, pod: &str) -> PathBuf {
        self.directory.join(format!("{INDEX}{}", hash16(&[pod])))
    }

    fn asked_of(&self, pod: &str) -> PathBuf {
        self.directory.join(format!("{ASKED}{}", hash16(&[pod])))
    }
}

/// Neither part can have a colon in it.
fn name_of(owner: Owner<'_>) -> String {
    format!("{}:{}", owner.container_id, owner.if_name)
}

/// That it is a directory, and not a link to one.
fn require_own(directory: &Path) -> io::Result<()> {
    match fs::symlink_metadata(directory)?.is_dir() {
        true => Ok(()),
        false => Err(ErrorKind::NotADirectory.into()),
    }
}

/// For `map_err`: names the operation and its object.
fn failed<'p>(operation: &'p str, path: &'p Path) -> impl FnOnce(io::Error) -> Error + 'p {
    move |cause| {
        let what = format!("cannot {operation} {}: {cause}", path.display());
        Error::new(code::IO, what)
    }
}
