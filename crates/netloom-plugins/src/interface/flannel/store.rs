//! The configurations that delegates were called with, one file for each attachment.
//!
//! A container's first attachment has the reference's file, `<dataDir>/<container id>`, so that
//! either deletes what the other added. It says in a key of its own, which delegates ignore, whose
//! it is; the reference's says nothing, and so belongs to any interface of its network. Further
//! attachments have `<container id>:<interface>`, which neither a container's id nor an
//! interface's name can be. That is also how each file begins.

use super::plan::data_dir;
use crate::wiring::owner::Owner;
use crate::wiring::state_file;
use netloom_spec::{Attachment, Error, PluginConf, code};
use serde_json::Value;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The key that tells the interface.
const IF_NAME: &str = "io.netloom.ifName";

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
        state_file::remove(&self.path).map_err(failed("remove", &self.path))
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
    pub(super) fn save(&self, owner: Owner<'_>, conf: &PluginConf) -> Result<(), Error> {
        state_file::ensure_directory(&self.directory).map_err(failed("create", &self.directory))?;
        let mut conf = conf.clone();
        conf.set(IF_NAME, owner.if_name.into());
        let further = self.further(owner);
        state_file::replace_on_disk(&further, &conf.to_bytes())
            .map_err(failed("write", &further))?;
        self.put_first(owner, &further).inspect_err(|_| {
            // The failure is told already, and the next DEL finds the file.
            let _ = state_file::remove(&further);
        })
    }

    /// Gives a file the first name, unless another attachment has that.
    fn put_first(&self, owner: Owner<'_>, further: &Path) -> Result<(), Error> {
        let first = self.first(owner);
        let renamed = state_file::rename_unless_taken(further, &first);
        if renamed.map_err(failed("rename", further))? {
            return Ok(());
        }
        let own = match read(&first)? {
            Some(Some(conf)) => if_name_in(&conf).is_some() && is_of(&conf, owner),
            // What is no configuration serves nobody.
            Some(None) => true,
            None => false,
        };
        if own {
            fs::rename(further, &first).map_err(failed("rename", further))?;
        }
        Ok(())
    }

    /// Removes what an attachment has, and whatever an ADD that was killed may have left. The
    /// file that was found goes although it does not say whose it is.
    pub(super) fn forget(&self, owner: Owner<'_>, found: Option<&Saved>) -> Result<(), Error> {
        let first = self.first(owner);
        let says_so = || -> Result<bool, Error> {
            let conf = read(&first)?.flatten();
            Ok(conf.is_some_and(|conf| if_name_in(&conf).is_some() && is_of(&conf, owner)))
        };
        if found.is_some_and(|saved| saved.path == first) || says_so()? {
            state_file::remove(&first).map_err(failed("remove", &first))?;
        }
        let further = self.further(owner);
        state_file::remove(&further).map_err(failed("remove", &further))
    }

    /// All files of a network, but for drafts, and those that are no configuration, of which
    /// nothing tells whose they are.
    pub(super) fn list(&self, network: &str) -> Result<(Vec<Listed>, Vec<PathBuf>), Error> {
        let (mut listed, mut broken) = (Vec::new(), Vec::new());
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((listed, broken)),
            entries => entries.map_err(failed("read", &self.directory))?,
        };
        for entry in entries {
            let path = entry.map_err(failed("read", &self.directory))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(name) = name.filter(|name| !name.starts_with('.')) else {
                continue;
            };
            let mut conf = match read(&path) {
                Ok(Some(Some(conf))) => conf,
                Ok(None) => continue,
                Ok(Some(None)) | Err(_) => {
                    broken.push(path);
                    continue;
                }
            };
            let container_id = name.split(':').next().unwrap_or_default().to_owned();
            let if_name = if_name_in(&conf).map(str::to_owned);
            conf.remove(IF_NAME);
            if conf.name() == network {
                listed.push(Listed {
                    path,
                    conf,
                    container_id,
                    if_name,
                });
            }
        }
        Ok((listed, broken))
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
    let content = state_file::read(path).map_err(failed("read", path))?;
    Ok(content.map(|bytes| PluginConf::parse(&bytes).ok().filter(is_delegate_s)))
}

fn is_delegate_s(conf: &PluginConf) -> bool {
    !conf.plugin_type().is_empty() && !conf.name().is_empty()
}

/// For `map_err`: names the operation and its object.
fn failed<'p>(operation: &'p str, path: &'p Path) -> impl FnOnce(io::Error) -> Error + 'p {
    move |cause| {
        let what = format!("cannot {operation} {}: {cause}", path.display());
        Error::new(code::IO, what)
    }
}
