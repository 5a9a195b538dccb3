//! The backup: what an interface was before it was tuned, in a file of upstream's format.

#[cfg(fuzzing)]
pub(crate) mod fuzzing;

use super::attributes::Attributes;
use crate::wiring::owner::{Owner, hash16};
use crate::wiring::state_file;
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::Link;
use netloom_plugin::{Cleanup, Found, Scope, Sweep};
use netloom_spec::{Attachment, Error, Mac, PluginConf, code, decode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

const DEFAULT_DIRECTORY: &str = "/run/cni/tuning";

/// The content of a file. Upstream ignores the key `netloom`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Backup {
    #[serde(skip_serializing_if = "String::is_empty")]
    mac: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    promisc: Option<bool>,
    #[serde(skip_serializing_if = "is_zero")]
    mtu: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    allmulti: Option<bool>,
    #[serde(rename = "txQLen", skip_serializing_if = "Option::is_none")]
    tx_queue_len: Option<u32>,
    /// `None` in a file that upstream wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) netloom: Option<Mark>,
}

/// Which link of which attachment a backup is of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Mark {
    /// The network's name: GC of another network leaves the file alone.
    network: String,
    /// `CNI_CONTAINERID`; empty in files of earlier releases, of which only the name tells it.
    #[serde(skip_serializing_if = "String::is_empty")]
    container: String,
    /// `CNI_IFNAME`; empty likewise.
    #[serde(skip_serializing_if = "String::is_empty")]
    interface: String,
    /// Device and inode of the namespace.
    netns: String,
    /// The interface's index there.
    pub(super) index: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Mark {
    pub(super) fn new(
        owner: Owner<'_>,
        netns: &Netns,
        link: &Link,
    ) -> netloom_kernel::Result<Self> {
        Ok(Self {
            network: owner.network.to_owned(),
            container: owner.container_id.to_owned(),
            interface: owner.if_name.to_owned(),
            netns: identity(netns)?,
            index: link.index,
        })
    }

    /// Container and interface, if the file has them.
    fn names(&self) -> Option<(&str, &str)> {
        (!self.container.is_empty()).then_some((&self.container, &self.interface))
    }

    /// Whether the link is in this namespace, by device and inode.
    pub(super) fn is_in(&self, netns: &Netns) -> netloom_kernel::Result<bool> {
        Ok(self.netns == identity(netns)?)
    }
}

fn identity(netns: &Netns) -> netloom_kernel::Result<String> {
    let id = netns.id()?;
    Ok(format!("{}:{}", id.device, id.inode))
}

impl Backup {
    fn new(attributes: &Attributes, mark: Mark) -> Self {
        Self {
            mac: attributes
                .mac
                .map(|mac| mac.to_string())
                .unwrap_or_default(),
            promisc: attributes.promisc,
            mtu: attributes.mtu.unwrap_or_default(),
            allmulti: attributes.allmulti,
            tx_queue_len: attributes.tx_queue_len,
            netloom: Some(mark),
        }
    }

    pub(super) fn attributes(&self) -> Attributes {
        Attributes {
            mac: self.mac.parse::<Mac>().ok(),
            promisc: self.promisc,
            mtu: Some(self.mtu).filter(|mtu| *mtu != 0),
            allmulti: self.allmulti,
            tx_queue_len: self.tx_queue_len,
        }
    }

    /// The backup for a link that is about to be tuned. What an earlier ADD of this attachment has
    /// written of the same link is the original, so it is kept, and only completed.
    pub(super) fn first(earlier: Option<&Self>, present: &Attributes, mark: Mark) -> Self {
        let same = |earlier: &&Self| match &earlier.netloom {
            Some(known) => (&known.netns, known.index) == (&mark.netns, mark.index),
            None => true,
        };
        let attributes = match earlier.filter(same) {
            Some(earlier) => earlier.attributes().or(present),
            None => present.clone(),
        };
        Self::new(&attributes, mark)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut serializer =
            Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b" "));
        // Writing numbers and texts to memory cannot fail.
        let written = self.serialize(&mut serializer);
        debug_assert!(written.is_ok(), "{written:?}");
        bytes
    }

    /// What a file says; `None` if it is no backup.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        decode::from_slice(bytes).ok()
    }
}

/// The directory of the backups, `dataDir`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Store(PathBuf);

/// The backups of attachments that are not valid any more, and files that are no backups.
pub(super) const OWNED: netloom_plugin::Owned =
    netloom_plugin::Owned::of_conf("tuning backup", |scope, how| {
        Store::lenient(scope.conf).sweep(scope, how)
    });

impl Store {
    /// `dataDir`; the default if it is empty.
    pub(super) fn at(directory: &str) -> Self {
        Self(match directory {
            "" => DEFAULT_DIRECTORY.into(),
            other => other.into(),
        })
    }

    /// For DEL and GC, which must not fail because of the rest of a configuration.
    pub(super) fn lenient(conf: &PluginConf) -> Self {
        let directory = conf.get("dataDir").and_then(Value::as_str);
        Self::at(directory.unwrap_or_default())
    }

    /// Whether backups can be kept here, as far as that can be seen without trying.
    pub(super) fn usable(&self) -> Result<(), Error> {
        match fs::metadata(&self.0) {
            Ok(found) if found.is_dir() => Ok(()),
            Ok(_) => Err(self.failure("use", &io::ErrorKind::NotADirectory.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.failure("use", &error)),
        }
    }

    /// The file of an attachment as it is; `None` if there is none.
    pub(super) fn content(&self, owner: Owner<'_>) -> Result<Option<Vec<u8>>, Error> {
        self.read(&self.path(owner)?)
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        state_file::read(path).map_err(|error| self.failure("read", &error))
    }

    pub(super) fn write(&self, owner: Owner<'_>, backup: &Backup) -> Result<(), Error> {
        self.write_content(owner, &backup.to_bytes())
    }

    /// Puts a file back as [`Store::content`] gave it.
    pub(super) fn restore(&self, owner: Owner<'_>, content: Option<&[u8]>) -> Result<(), Error> {
        match content {
            Some(content) => self.write_content(owner, content),
            None => self.remove(owner),
        }
    }

    pub(super) fn remove(&self, owner: Owner<'_>) -> Result<(), Error> {
        state_file::remove(&self.path(owner)?).map_err(|error| self.failure("remove", &error))
    }

    /// Finds the backups of the scope's network that belong to no valid attachment. A file that
    /// upstream wrote does not name its network, so it is left alone.
    fn sweep(&self, scope: &Scope<'_>, how: Sweep<'_>) -> Result<Vec<Found>, Error> {
        let network = scope.network.as_str();
        let named = |it: &Attachment| (it.container_id.clone(), it.if_name.clone());
        let names: HashSet<(String, String)> = scope.valid.iter().map(named).collect();
        let paths: HashSet<PathBuf> = (scope.valid.iter())
            .map(|attachment| self.usual(Owner::of(network, attachment)))
            .collect();
        let is_valid = |mark: &Mark, path: &PathBuf| match mark.names() {
            Some((id, name)) => names.contains(&(id.to_owned(), name.to_owned())),
            None => paths.contains(path),
        };
        let (mut found, mut cleanup) = (Vec::new(), Cleanup::new());
        for path in self.list()? {
            let content = match state_file::read(&path) {
                Ok(Some(content)) => content,
                // It may have gone meanwhile.
                Ok(None) => continue,
                // A directory, say, must not keep the others from being collected.
                Err(_) => Vec::new(),
            };
            let Some(backup) = Backup::parse(&content) else {
                found.push(Found::broken(path));
                continue;
            };
            let is_stale = |mark: Mark| mark.network == network && !is_valid(&mark, &path);
            if !backup.netloom.is_some_and(is_stale) {
                continue;
            }
            found.push(Found::collectable(path.display().to_string()));
            if how.removes() {
                let removed = state_file::remove(&path);
                let removed = removed.map_err(|error| self.failure("remove", &error));
                cleanup.step(&format!("collect {}", path.display()), removed);
            }
        }
        cleanup.finish().map(|()| found)
    }

    fn list(&self) -> Result<Vec<PathBuf>, Error> {
        let failed = |error| self.failure("list", &error);
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed));
        let is_backup = |path: &Result<PathBuf, Error>| {
            path.as_deref().map_or(true, |path: &Path| {
                path.extension() == Some("json".as_ref())
            })
        };
        paths.filter(is_backup).collect()
    }

    fn write_content(&self, owner: Owner<'_>, content: &[u8]) -> Result<(), Error> {
        let failed = |error| self.failure("write", &error);
        let path = self.path(owner)?;
        state_file::ensure_directory(&self.0).map_err(failed)?;
        if !is_ambiguous(owner) || self.read(&path)?.is_some() {
            return state_file::replace(&path, content).map_err(failed);
        }
        // Another attachment may take upstream's name at this moment. So the file is written under the
        // name of its own, and gets upstream's only if that is still free.
        let apart = self.apart(owner);
        state_file::replace(&apart, content)
            .and_then(|()| state_file::rename_unless_taken(&apart, &path))
            .map(drop)
            .map_err(failed)
    }

    /// The file of an attachment. It has upstream's name, unless another attachment's file has it.
    pub(super) fn path(&self, owner: Owner<'_>) -> Result<PathBuf, Error> {
        let usual = self.usual(owner);
        if !is_ambiguous(owner) {
            return Ok(usual);
        }
        let found = self.read(&usual)?;
        let is_anothers = found.as_deref().is_some_and(|content| {
            let mark = Backup::parse(content).and_then(|backup| backup.netloom);
            let names = mark.as_ref().and_then(Mark::names);
            names.is_some_and(|names| names != (owner.container_id, owner.if_name))
        });
        if found.is_some() && !is_anothers {
            return Ok(usual);
        }
        let apart = self.apart(owner);
        let is_apart = is_anothers || self.read(&apart)?.is_some();
        Ok(if is_apart { apart } else { usual })
    }

    /// Upstream's name, which `a_b` with `c` shares with `a` with `b_c`.
    fn usual(&self, owner: Owner<'_>) -> PathBuf {
        let name = format!("{}_{}.json", owner.container_id, owner.if_name);
        self.0.join(name)
    }

    /// A name that no other attachment has: no container's id begins with `_`.
    fn apart(&self, owner: Owner<'_>) -> PathBuf {
        let hash = hash16(&[owner.container_id, " ", owner.if_name]);
        self.0.join(format!("_{hash}.json"))
    }

    fn failure(&self, verb: &str, cause: &io::Error) -> Error {
        let text = format!("failed to {verb} backups in dataDir {:?}: {cause}", self.0);
        Error::new(code::IO, text)
    }
}

/// Whether another attachment may have upstream's name for this one.
fn is_ambiguous(owner: Owner<'_>) -> bool {
    owner.container_id.contains('_') || owner.if_name.contains('_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(index: u32) -> Mark {
        Mark {
            network: "net".into(),
            container: "c1".into(),
            interface: "eth0".into(),
            netns: "4:1".into(),
            index,
        }
    }

    fn attributes() -> Attributes {
        Attributes {
            mac: Some(Mac([2, 0, 0, 0, 0, 1])),
            promisc: Some(false),
            mtu: Some(1500),
            allmulti: Some(true),
            tx_queue_len: Some(0),
        }
    }

    #[test]
    fn a_file_begins_as_upstream_writes_it() {
        let backup = Backup::new(&attributes(), mark(2));
        let text = String::from_utf8(backup.to_bytes()).unwrap();
        let start = "{\n \"mac\": \"02:00:00:00:00:01\",\n \"promisc\": false,\n \"mtu\": 1500,\n \
                     \"allmulti\": true,\n \"txQLen\": 0,\n \"netloom\": {\n";
        assert!(text.starts_with(start), "{text}");
        assert_eq!(Backup::parse(text.as_bytes()), Some(backup.clone()));
        assert_eq!(backup.attributes(), attributes());
    }

    #[test]
    fn only_what_is_changed_is_written() {
        let one = Attributes {
            mtu: Some(1500),
            ..Attributes::default()
        };
        let text = String::from_utf8(Backup::new(&one, mark(2)).to_bytes()).unwrap();
        assert!(
            text.starts_with("{\n \"mtu\": 1500,\n \"netloom\""),
            "{text}"
        );
        assert_eq!(Backup::parse(b"{broken"), None);
    }

    #[test]
    fn the_first_backup_of_a_link_stays_and_is_completed() {
        let old = Attributes {
            mtu: Some(1500),
            ..Attributes::default()
        };
        let now = Attributes {
            mtu: Some(1400),
            promisc: Some(true),
            ..Attributes::default()
        };
        let first = Backup::new(&old, mark(2));
        let kept = Backup::first(Some(&first), &now, mark(2)).attributes();
        assert_eq!((kept.mtu, kept.promisc), (Some(1500), Some(true)));
        // That of an earlier link under the same name does not.
        let other = Backup::first(Some(&first), &now, mark(3));
        assert_eq!(other.attributes(), now);
        // Upstream's does not say.
        let theirs = Backup::parse(b"{\n \"mtu\": 1500\n}").unwrap();
        assert_eq!(
            Backup::first(Some(&theirs), &now, mark(3)).attributes().mtu,
            Some(1500)
        );
    }
}
