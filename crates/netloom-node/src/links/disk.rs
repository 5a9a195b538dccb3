//! The plugin ratchet's store on this host: which pods want links, and the files that tell it of others.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use netloom_cluster::links::{FarFile, LONGEST_LINKS, LinkRecord, LinkedPod};
use netloom_spec::NetworkName;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::unix::AsyncFd;

use crate::files;

/// What leads to the record of a pod's newest attachment begins so.
const INDEX: &str = "pod-";
/// The file that tells the plugin of pods of other hosts.
const FAR: &str = "far";

/// The networks that have pods with links here, and those pods.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Found {
    pub(super) networks: Vec<NetworkName>,
    pub(super) pods: BTreeMap<LinkedPod, LinkRecord>,
}

/// Of the plugin's record, what others are told.
#[derive(Deserialize)]
struct Record {
    form: u32,
    #[serde(default)]
    pod: String,
    #[serde(default)]
    boot: String,
    #[serde(default)]
    links: Vec<Value>,
    #[serde(default)]
    open: bool,
}

/// Watches the store.
pub(super) struct Watch {
    root: PathBuf,
    boot: String,
    events: AsyncFd<OwnedFd>,
    last: Option<Found>,
}

impl Watch {
    pub(super) fn begin(root: &Path, boot: &str) -> Result<Self> {
        let failed = || format!("cannot watch {}", root.display());
        let mut folder = fs::DirBuilder::new();
        folder.recursive(true).mode(0o700);
        folder.create(root).with_context(failed)?;
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        let events = events.with_context(failed)?;
        let flags = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        inotify::add_watch(&events, root, flags).with_context(failed)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for descriptors that change; an OwnedFd does not"
        )]
        let events = AsyncFd::new(events).with_context(failed)?;
        Ok(Self {
            root: root.to_owned(),
            boot: boot.to_owned(),
            events,
            last: None,
        })
    }

    /// Waits until something is other than it was told last; the first time there is always something.
    pub(super) async fn changed(&mut self) -> Found {
        loop {
            match self.look() {
                Ok(found) if self.last.as_ref() != Some(&found) => {
                    self.last = Some(found.clone());
                    return found;
                }
                Ok(_) => {}
                Err(error) => note!("{error:#}"),
            }
            let Ok(mut ready) = self.events.readable().await else {
                return std::future::pending().await;
            };
            let mut buffer = [0; 4096];
            // Which file it was does not matter: what is there is read.
            while rustix::io::read(self.events.get_ref(), &mut buffer).is_ok() {}
            ready.clear_ready();
        }
    }

    fn look(&self) -> Result<Found> {
        let flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW;
        let mut found = Found::default();
        for network in networks(&self.root)? {
            let folder = self.root.join(network.as_str());
            // One that is watched already stays so.
            match inotify::add_watch(self.events.get_ref(), &folder, flags) {
                Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => continue,
                watched => watched.with_context(|| format!("cannot watch {}", folder.display()))?,
            };
            for (pod, record) in pods(&folder, &network, &self.boot)? {
                found.pods.insert(pod, record);
            }
            found.networks.push(network);
        }
        Ok(found)
    }
}

/// The networks that have a folder.
fn networks(root: &Path) -> Result<Vec<NetworkName>> {
    let mut names = files::folders(root, |name| NetworkName::new(name).ok())?;
    names.sort();
    Ok(names)
}

/// Each pod's newest attachment. What is no record is nobody's.
fn pods(folder: &Path, network: &NetworkName, boot: &str) -> Result<Vec<(LinkedPod, LinkRecord)>> {
    let failed = || format!("cannot read {}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let is_index = entry.file_name().to_string_lossy().starts_with(INDEX);
        if !is_index || !entry.file_type().with_context(failed)?.is_file() {
            continue;
        }
        let Some(name) = text(&entry.path()) else {
            continue;
        };
        if name.contains('/') || !name.contains(':') {
            continue;
        }
        let record = text(&folder.join(name)).and_then(|text| read(&text, boot));
        let Some(record) = record else { continue };
        if let Ok(pod) = LinkedPod::new(network.clone(), record.pod) {
            found.push((pod, LinkRecord::new(record.links, record.open)));
        }
    }
    Ok(found)
}

fn text(path: &Path) -> Option<String> {
    let bytes = files::read(path, 4 * LONGEST_LINKS as u64).ok().flatten();
    String::from_utf8(bytes?).ok()
}

fn read(text: &str, boot: &str) -> Option<Record> {
    let record: Record = serde_json::from_str(text).ok()?;
    (record.form == 1 && record.boot == boot).then_some(record)
}

/// Tells the plugin of the pods of other hosts. Whether that is new.
pub(super) fn tell(root: &Path, network: &NetworkName, file: &FarFile) -> Result<bool> {
    let folder = root.join(network.as_str());
    // It is the plugin's to make.
    let there = fs::symlink_metadata(&folder);
    match there {
        Ok(there) if there.is_dir() => {}
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot read {}", folder.display()));
        }
        _ => return Ok(false),
    }
    let path = folder.join(FAR);
    if file.pods.is_empty() {
        return files::remove(&path);
    }
    let text = String::from_utf8(file.to_json()).context("JSON is text")?;
    files::write(&path, &text, 0o600)
}

/// Removes the files of [`tell`].
pub(super) fn forget(root: &Path) -> Result<()> {
    if !root.is_dir() {
        return Ok(());
    }
    for network in networks(root)? {
        files::remove(&root.join(network.as_str()).join(FAR))?;
    }
    Ok(())
}
