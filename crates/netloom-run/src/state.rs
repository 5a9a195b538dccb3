//! What is kept of pods: `/run/netloom/pods/ID`, which only root reads.
//!
//! | file | what |
//! |---|---|
//! | `pod.json` | the [`PodState`]; replaced by rename |
//! | `lock` | locked by the shim for all its life (fcntl(2), so by that process and by no copy of it): a pod whose lock is free and that has not ended is dead |
//! | `edit` | locked by whoever changes `pod.json` |
//! | `networks` | locked by whoever runs ADD or DEL |
//! | `status` | the exit status, for those who wait |
//! | `log` | what a pod without a foreground wrote |
//! | `resolv.conf`, `hosts`, `hostname` | the pod's files in `/etc` |
//! | `rootfs`, `layer` | empty: the pod mounts over them, in its own mount namespace |

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::{Doing, Error, Result};
use crate::{PodSpec, ProcessId};

/// What the directory of a pod that is being forgotten begins with.
const GONE: &str = ".gone-";

/// How far a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// It is being made: what fails leaves nothing.
    Embryo,
    /// Its command runs.
    Run,
    /// Its command has ended, its networks are deleted.
    Exited,
    /// Its command has ended, and a network could not be deleted.
    Garbage,
}

/// What is kept of a pod.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PodState {
    /// What it is to be.
    pub spec: PodSpec,
    /// How far it is.
    pub phase: Phase,
    /// When it was made, in seconds from 1970.
    pub created: u64,
    /// Its first process, as the host numbers it.
    pub init: Option<ProcessId>,
    /// How the command ended.
    pub status: Option<u8>,
    /// Why a network could not be deleted.
    #[serde(default)]
    pub left: Vec<String>,
}

/// The pods of this host.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

/// One pod's directory.
#[derive(Clone, Debug)]
pub struct Pod {
    dir: PathBuf,
}

/// A lock, until it is dropped.
#[derive(Debug)]
pub struct Held {
    _file: OwnedFd,
}

impl Default for Store {
    fn default() -> Self {
        Self::at("/run/netloom/pods")
    }
}

impl Store {
    /// The pods in this directory, which need not exist.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Makes the directory of a new pod, and locks it.
    ///
    /// # Errors
    /// If another pod has the name; if the directory is somebody else's or cannot be made.
    pub fn create(&self, spec: PodSpec) -> Result<(Pod, Held)> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder
            .create(&self.dir)
            .doing(|| format!("make {:?}", self.dir))?;
        let _guard = self.guard()?.ok_or_else(|| self.vanished())?;
        if !spec.name.is_empty() {
            self.refuse_taken(&spec.name)?;
        }
        let dir = self.dir.join(&spec.id);
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .doing(|| format!("make {dir:?}"))?;
        let pod = Pod { dir };
        match pod.begin(spec) {
            Ok(held) => Ok((pod, held)),
            Err(error) => {
                let _ = pod.remove();
                Err(error)
            }
        }
    }

    fn vanished(&self) -> Error {
        Error::new(format!("{:?} was removed meanwhile", self.dir))
    }

    fn refuse_taken(&self, name: &str) -> Result<()> {
        let taken = |pod: &Pod| pod.state().is_ok_and(|state| state.spec.name == name);
        match self.list()?.iter().find(|pod| taken(pod)) {
            None => Ok(()),
            Some(pod) => Err(Error::new(format!(
                "the name {name:?} is taken by pod {}: choose another, or `netloom rm {name}`",
                pod.short_id()
            ))),
        }
    }

    /// Keeps others from making pods; `None` where there never was one.
    pub(crate) fn guard(&self) -> Result<Option<Held>> {
        match fs::symlink_metadata(&self.dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::of(format!("look at {:?}", self.dir), error)),
            Ok(found) => {
                let own = rustix::process::geteuid().as_raw();
                if !found.is_dir() || found.uid() != own || found.mode() & 0o077 != 0 {
                    return Err(Error::new(format!(
                        "{:?} is not a directory that only its owner {own} may use: remove it",
                        self.dir
                    )));
                }
            }
        }
        let of_all = Pod {
            dir: self.dir.clone(),
        };
        of_all.lock_file(".lock", FlockOperation::LockExclusive)
    }

    /// Every pod, sorted by id.
    ///
    /// # Errors
    /// If the directory cannot be read. That it does not exist is no error.
    pub fn list(&self) -> Result<Vec<Pod>> {
        let failed = || format!("read {:?}", self.dir);
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.doing(failed)?,
        };
        let mut pods = Vec::new();
        for entry in entries {
            let entry = entry.doing(failed)?;
            if entry.file_name().to_str().is_some_and(is_id) {
                pods.push(Pod { dir: entry.path() });
            }
        }
        pods.sort_by(|one, other| one.dir.cmp(&other.dir));
        Ok(pods)
    }

    /// Removes what is left of pods that were being forgotten.
    pub(crate) fn sweep(&self) {
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(GONE) {
                let _ = remove_tree(&entry.path());
            }
        }
    }

    /// The pod of this name, id, or begin of an id.
    ///
    /// # Errors
    /// If there is none, or more than one.
    pub fn find(&self, wanted: &str) -> Result<Pod> {
        let pods = self.list()?;
        let named = |pod: &&Pod| pod.state().is_ok_and(|state| state.spec.name == wanted);
        if let Some(pod) = pods.iter().find(named) {
            return Ok(pod.clone());
        }
        let begin = wanted.replace('-', "");
        let matching: Vec<_> = pods
            .iter()
            .filter(|pod| !begin.is_empty() && pod.id().starts_with(&begin))
            .collect();
        match matching.as_slice() {
            [pod] => Ok((*pod).clone()),
            [] => Err(Error::new(format!(
                "there is no pod {wanted:?}: `netloom ps -a` shows them"
            ))),
            several => Err(Error::new(format!(
                "{wanted:?} is the begin of {} ids: give more of it",
                several.len()
            ))),
        }
    }
}

impl Pod {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        let name = self.dir.file_name().unwrap_or_default();
        name.to_str().unwrap_or_default()
    }

    /// The first eight digits, as people say them.
    #[must_use]
    pub fn short_id(&self) -> &str {
        self.id().get(..8).unwrap_or_default()
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where its log is.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Where its own network namespace is bound.
    #[must_use]
    pub fn netns(&self) -> PathBuf {
        Path::new("/run/netns").join(format!("netloom-{}", self.id()))
    }

    /// What is kept of it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn state(&self) -> Result<PodState> {
        let path = self.dir.join("pod.json");
        let bytes = fs::read(&path).doing(|| format!("read {path:?}"))?;
        serde_json::from_slice(&bytes).doing(|| format!("read {path:?}"))
    }

    /// Changes what is kept of it, and returns that. Nobody else changes it meanwhile.
    pub(crate) fn update(&self, change: impl FnOnce(&mut PodState)) -> Result<PodState> {
        let _held = self.lock_file("edit", FlockOperation::LockExclusive)?;
        let mut state = self.state()?;
        change(&mut state);
        self.store(&state)?;
        Ok(state)
    }

    /// Fills the new directory.
    fn begin(&self, spec: PodSpec) -> Result<Held> {
        let held = self.try_hold()?;
        let held = held.ok_or_else(|| Error::new(format!("pod {:?} exists", spec.id)))?;
        for name in ["rootfs", "layer"] {
            let dir = self.dir.join(name);
            fs::create_dir(&dir).doing(|| format!("make {dir:?}"))?;
        }
        self.write("status", b"")?;
        self.store(&PodState {
            spec,
            phase: Phase::Embryo,
            created: now(),
            init: None,
            status: None,
            left: Vec::new(),
        })?;
        Ok(held)
    }

    fn store(&self, state: &PodState) -> Result<()> {
        let text = serde_json::to_vec(state).doing(|| "encode the state of a pod")?;
        self.write("pod.json", &text)
    }

    /// Writes a file of its directory, by temporary file and rename.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let (path, draft) = (self.dir.join(name), self.dir.join(format!(".{name}")));
        let write = || {
            fs::write(&draft, content)?;
            fs::rename(&draft, &path)
        };
        write().doing(|| format!("write {path:?}"))
    }

    /// Writes into a file that others have open or mounted.
    pub(crate) fn write_in_place(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.dir.join(name);
        fs::write(&path, content).doing(|| format!("write {path:?}"))
    }

    /// The shim's lock, if nobody has it: the pod has ended, or is dead.
    pub(crate) fn try_hold(&self) -> Result<Option<Held>> {
        self.lock_as_process(FlockOperation::NonBlockingLockExclusive)
    }

    /// Waits until nobody has the shim's lock, and returns how the command ended.
    ///
    /// # Errors
    /// If there is no such pod any more.
    pub fn wait(&self) -> Result<Option<u8>> {
        // Opened before: `--rm` takes the file's name away.
        let path = self.dir.join("status");
        let mut status = fs::File::open(&path).doing(|| format!("open {path:?}"))?;
        drop(self.lock_as_process(FlockOperation::LockExclusive)?);
        let mut text = String::new();
        std::io::Read::read_to_string(&mut status, &mut text).doing(|| format!("read {path:?}"))?;
        Ok(text.trim().parse().ok())
    }

    /// Whether there still is such a pod: with `--rm` it goes by itself.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.dir.exists()
    }

    /// Keeps others from attaching and detaching it meanwhile. The shim takes this before it deletes.
    pub(crate) fn change_networks(&self) -> Result<Option<Held>> {
        self.lock_file("networks", FlockOperation::LockExclusive)
    }

    fn lock_file(&self, name: &str, how: FlockOperation) -> Result<Option<Held>> {
        self.lock_by(name, |file| rustix::fs::flock(file, how))
    }

    /// The shim's lock. One of flock(2) would outlive a shim that is killed as it starts a plugin: the child has
    /// its descriptors until it executes. A lock of fcntl(2) ends with its process; that process must not open
    /// and close the file again.
    fn lock_as_process(&self, how: FlockOperation) -> Result<Option<Held>> {
        self.lock_by("lock", |file| rustix::fs::fcntl_lock(file, how))
    }

    fn lock_by(
        &self,
        name: &str,
        lock: impl Fn(&OwnedFd) -> rustix::io::Result<()>,
    ) -> Result<Option<Held>> {
        let path = self.dir.join(name);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)
            .doing(|| format!("open {path:?}"))?;
        match rustix::io::retry_on_intr(|| lock(&file)) {
            Ok(()) => Ok(Some(Held { _file: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(Error::of(format!("lock {path:?}"), errno)),
        }
    }

    /// Forgets it; absent is success. From the rename on it is no pod any more, whoever dies.
    pub(crate) fn remove(&self) -> Result<()> {
        let gone = self.dir.with_file_name(format!("{GONE}{}", self.id()));
        match fs::rename(&self.dir, &gone) {
            Ok(()) => remove_tree(&gone),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::of(format!("remove {:?}", self.dir), error)),
        }
    }

    /// The log, to be appended to.
    pub(crate) fn open_log(&self) -> Result<fs::File> {
        let path = self.log();
        let mut options = fs::OpenOptions::new();
        options.append(true).create(true).mode(0o600);
        options.open(&path).doing(|| format!("open {path:?}"))
    }

    /// Tells those who wait how the command ended.
    pub(crate) fn tell_status(&self, status: u8) -> Result<()> {
        let path = self.dir.join("status");
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).truncate(true).open(&path);
        file.and_then(|mut file| file.write_all(status.to_string().as_bytes()))
            .doing(|| format!("write {path:?}"))
    }
}

fn remove_tree(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::of(format!("remove {dir:?}"), error))
        }
        _ => Ok(()),
    }
}

/// A new id.
///
/// # Errors
/// If the kernel has no random numbers.
pub(crate) fn new_id() -> Result<String> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .doing(|| "get random numbers")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn is_id(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// As a plugin's process has it between fork and exec.
    #[test]
    fn the_lock_of_a_shim_ends_with_the_shim_whatever_its_children_inherited() {
        let dir = tempfile::tempdir().unwrap();
        let pod = Pod {
            dir: dir.path().to_owned(),
        };
        let held = pod.try_hold().unwrap().unwrap();
        let inherited = rustix::io::dup(&held._file).unwrap();
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        drop((held, inherited));
        let again = pod.try_hold().unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(again.is_some(), "a child has the lock");
    }
}
