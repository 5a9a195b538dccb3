//! The configurations that delegates were called with, one file for each attachment.
//!
//! A container's first attachment has the reference's file, `<dataDir>/<container id>`, so that
//! either deletes what the other added. It says in a key of its own, which delegates ignore, whose
//! it is; the reference's says nothing, and so belongs to any interface of its network. Further
//! attachments have `<container id>:<interface>`, which neither a container's id nor an
//! interface's name can be. A file appears by rename or link, whole.

use super::plan::data_dir;
use crate::wiring::owner::Owner;
use netloom_spec::{Attachment, Error, PluginConf, code};
use serde_json::Value;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The key that tells the interface.
const IF_NAME: &str = "io.netloom.ifName";
/// At the end of the name of a file that is being written.
const DRAFT: &str = "new";

/// The directory of them.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
}

/// A file that was found.
#[derive(Debug)]
pub(super) struct Saved {
    pub(super) path: PathBuf,
    /// `None` for a file that is no configuration.
    pub(super) conf: Option<PluginConf>,
}

/// A file of a network.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) path: PathBuf,
    pub(super) conf: PluginConf,
    pub(super) container_id: String,
    /// `None` in the reference's files.
    pub(super) if_name: Option<String>,
}

impl Listed {
    /// Whose it is, if it tells.
    pub(super) fn attachment(&self) -> Option<Attachment> {
        Some(Attachment {
            container_id: self.container_id.clone(),
            if_name: self.if_name.clone()?,
        })
    }

    pub(super) fn forget(&self) -> Result<(), Error> {
        remove(&self.path)
    }
}

impl Store {
    pub(super) fn at(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// For DEL and GC, which a bad configuration must not make impossible.
    pub(super) fn of(conf: &PluginConf) -> Self {
        Self::at(&data_dir(conf))
    }

    fn first(&self, owner: Owner<'_>) -> PathBuf {
        self.directory.join(owner.container_id)
    }

    fn further(&self, owner: Owner<'_>) -> PathBuf {
        let name = format!("{}:{}", owner.container_id, owner.if_name);
        self.directory.join(name)
    }

    fn draft(&self, owner: Owner<'_>) -> PathBuf {
        let name = format!("{}:{}:{DRAFT}", owner.container_id, owner.if_name);
        self.directory.join(name)
    }

    /// The file of an attachment.
    pub(super) fn find(&self, owner: Owner<'_>) -> Result<Option<Saved>, Error> {
        for path in [self.further(owner), self.first(owner)] {
            let Some(conf) = read(&path)? else {
                continue;
            };
            if conf.as_ref().is_none_or(|conf| is_of(conf, owner)) {
                let conf = conf.map(|mut conf| {
                    conf.remove(IF_NAME);
                    conf
                });
                return Ok(Some(Saved { path, conf }));
            }
        }
        Ok(None)
    }

    /// Saves a configuration, on the disk: after a loss of power it is what addresses are
    /// released by.
    pub(super) fn save(&self, owner: Owner<'_>, conf: &PluginConf) -> Result<PathBuf, Error> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
            .map_err(failed("create", &self.directory))?;
        let draft = self.draft(owner);
        let mut conf = conf.clone();
        conf.set(IF_NAME, owner.if_name.into());
        let saved = write(&draft, &conf.to_bytes())
            .map_err(failed("write", &draft))
            .and_then(|()| self.publish(owner, &draft));
        saved.inspect_err(|_| {
            // The failure is told already, and the next DEL removes the draft as well.
            let _ = fs::remove_file(&draft);
        })
    }

    /// Gives a draft its name: the first, unless another attachment has that.
    fn publish(&self, owner: Owner<'_>, draft: &Path) -> Result<PathBuf, Error> {
        let (first, further) = (self.first(owner), self.further(owner));
        match fs::hard_link(draft, &first) {
            Ok(()) => {
                // It does no harm, and DEL removes it.
                let _ = remove(draft);
                return Ok(first);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("write", &first)(error)),
        }
        let own = match read(&first)? {
            Some(Some(conf)) => conf.get(IF_NAME).is_some() && is_of(&conf, owner),
            // What is no configuration serves nobody.
            Some(None) => true,
            None => false,
        };
        let path = if own { first } else { further };
        fs::rename(draft, &path).map_err(failed("write", &path))?;
        Ok(path)
    }

    /// Removes a file, and the draft of one.
    pub(super) fn forget(&self, owner: Owner<'_>, path: &Path) -> Result<(), Error> {
        remove(path)?;
        self.forget_draft(owner)
    }

    /// Removes what an ADD that was killed may have left.
    pub(super) fn forget_draft(&self, owner: Owner<'_>) -> Result<(), Error> {
        remove(&self.draft(owner))
    }

    /// All files of a network. What cannot be read, or is no configuration, is nobody's.
    pub(super) fn list(&self, network: &str) -> Result<Vec<Listed>, Error> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed("read", &self.directory))?,
        };
        let mut listed = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed("read", &self.directory))?.path();
            let Ok(Some(Some(mut conf))) = read(&path) else {
                continue;
            };
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let container_id = name.split(':').next().unwrap_or_default().to_owned();
            let if_name = if_name_in(&conf).map(str::to_owned);
            conf.remove(IF_NAME);
            if conf.name() == network && !container_id.is_empty() {
                listed.push(Listed {
                    path,
                    conf,
                    container_id,
                    if_name,
                });
            }
        }
        Ok(listed)
    }
}

fn if_name_in(conf: &PluginConf) -> Option<&str> {
    conf.get(IF_NAME).and_then(Value::as_str)
}

fn is_of(conf: &PluginConf, owner: Owner<'_>) -> bool {
    let same = |if_name| if_name == owner.if_name;
    conf.name() == owner.network && if_name_in(conf).is_none_or(same)
}

/// `None` if there is no such file, `Some(None)` if it is no configuration.
fn read(path: &Path) -> Result<Option<Option<PluginConf>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(PluginConf::parse(&bytes).ok().filter(is_delegate_s))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

fn is_delegate_s(conf: &PluginConf) -> bool {
    !conf.plugin_type().is_empty() && !conf.name().is_empty()
}

/// Writes a file in place of what is there, for its owner's eyes, and to the disk.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_data()
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// For `map_err`: names the operation and its object.
fn failed<'p>(operation: &'p str, path: &'p Path) -> impl FnOnce(io::Error) -> Error + 'p {
    move |cause| {
        let what = format!("cannot {operation} {}: {cause}", path.display());
        Error::new(code::IO, what)
    }
}
