//! The attachments that were added, as files shared with every other CNI runtime on the host.
//!
//! Files are `results/<network>-<container id>-<interface>` in the format of libcni, which other
//! tools read. Three names joined by `-` are ambiguous, as each may contain one: what a file is
//! about is decided by its content. An attachment whose name is taken by another is kept as
//! `results/<network>+<container id>+<interface>`, which is not ambiguous.

mod boot;
mod entry;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod lock;
mod write;

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use netloom_invoke::Limits;
use netloom_spec::{AddResult, Attachment, ContainerId, Error as CniError, IfName, Version};

pub use self::entry::CachedAttachment;
use self::entry::{Entry, Stored};
use crate::{Network, RuntimeConf, request};

/// What is wrong with a file or directory that somebody put in the place of ours.
const LINK: &str = "it is a symbolic link, which is not followed";

/// What is wrong with the cache.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The parts of the file's name are not all given, or are no part of a file name.
    #[error(
        "cache file path requires network name ({network:?}), container ID ({container_id:?}), \
         and interface name ({if_name:?})"
    )]
    Name {
        /// The network's name.
        network: String,
        /// The container's id.
        container_id: String,
        /// The name of the interface inside the container.
        if_name: String,
    },
    /// A file or directory cannot be read or written.
    #[error("{path:?}: {cause}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        cause: io::Error,
    },
    /// The file has no JSON object.
    #[error("{path:?} is not a cached attachment: {problem}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// The file is not of the kind wanted.
    #[error("{path:?} has wrong kind: {kind}")]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// Its `kind`.
        kind: String,
    },
    /// The result in the file cannot be used.
    #[error(transparent)]
    Result(CniError),
}

impl CacheError {
    fn io(path: &Path, cause: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            cause,
        }
    }

    /// The file or directory it is about, if one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Io { path, .. } | Self::Corrupt { path, .. } | Self::WrongKind { path, .. } => {
                Some(path)
            }
            Self::Name { .. } | Self::Result(_) => None,
        }
    }

    /// The attachments of `network` that the file's name may stand for: container ids and
    /// interface names may contain the `-` that joins them.
    #[must_use]
    pub fn candidates(&self, network: &str) -> Vec<Attachment> {
        let name = self.path().and_then(Path::file_name);
        let name = name.and_then(|name| name.to_str()).unwrap_or_default();
        let rest = name.strip_prefix(network).unwrap_or_default();
        let Some(separator @ ('-' | '+')) = rest.chars().next() else {
            return Vec::new();
        };
        let rest = &rest[1..];
        rest.match_indices(separator)
            .map(|(at, _)| Attachment {
                container_id: rest[..at].to_owned(),
                if_name: rest[at + 1..].to_owned(),
            })
            .filter(|it| {
                ContainerId::new(&it.container_id).is_ok() && IfName::new(&it.if_name).is_ok()
            })
            .collect()
    }
}

/// What is in the cache.
#[derive(Debug, Default)]
pub struct CacheSurvey {
    /// The attachments, sorted by the names of their files.
    pub attachments: Vec<CachedAttachment>,
    /// Why other files tell of none: each error has the file's path.
    pub unreadable: Vec<CacheError>,
}

/// What an attachment is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key<'a> {
    network: &'a str,
    container_id: &'a str,
    if_name: &'a str,
}

impl<'a> Key<'a> {
    pub(crate) fn of(network: &'a str, rt: &'a RuntimeConf) -> Self {
        Self {
            network,
            container_id: &rt.container_id,
            if_name: &rt.if_name,
        }
    }

    /// The three parts joined by `separator`.
    fn file_name(&self, separator: char) -> Result<String, CacheError> {
        let parts = [self.network, self.container_id, self.if_name];
        if parts
            .iter()
            .any(|part| part.is_empty() || part.contains(['/', '\0']))
        {
            return Err(CacheError::Name {
                network: self.network.to_owned(),
                container_id: self.container_id.to_owned(),
                if_name: self.if_name.to_owned(),
            });
        }
        Ok(parts.join(&separator.to_string()))
    }
}

/// The cache in one directory.
#[derive(Clone)]
pub(crate) struct Cache {
    dir: PathBuf,
    /// Told when a lock keeps one waiting.
    on_wait: Option<OnWait>,
    /// Until when one waits for a lock.
    limits: Limits,
}

/// Gets what there is to say about a wait.
pub(crate) type OnWait = Arc<dyn Fn(&str) + Send + Sync>;

impl Cache {
    pub(crate) fn in_dir(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            on_wait: None,
            limits: Limits::none(),
        }
    }

    pub(crate) fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    pub(crate) fn on_wait(mut self, tell: Option<OnWait>) -> Self {
        self.on_wait = tell;
        self
    }

    /// The directory of all files. The caller's own directory may be reached by links; nothing below
    /// it is.
    fn results(&self) -> Result<PathBuf, CacheError> {
        let results = self.dir.join("results");
        match results.is_symlink() {
            false => Ok(results),
            true => Err(CacheError::io(&results, io::Error::other(LINK))),
        }
    }

    fn path(&self, key: &Key<'_>, separator: char) -> Result<PathBuf, CacheError> {
        Ok(self.results()?.join(key.file_name(separator)?))
    }

    /// Keeps the result of an ADD.
    pub(crate) fn store(
        &self,
        network: &Network<'_>,
        rt: &RuntimeConf,
        result: &AddResult,
    ) -> Result<(), CacheError> {
        let key = Key::of(network.name, rt);
        let mut path = self.path(&key, '-')?;
        if matches!(Stored::read(&path), Ok(Some(Stored::V1(entry))) if !entry.is_of(&key)) {
            path = self.path(&key, '+')?;
        }
        let version = network.known_version().unwrap_or(result.cni_version);
        let entry = Entry::new(&key, rt, &network.bytes, request::wire(result, version));
        let content = entry
            .to_json()
            .map_err(|error| CacheError::io(&path, error.into()))?;
        write::replace(network.name, &path, &content)
    }

    /// Forgets an attachment; absent is success. What belongs to another one stays.
    pub(crate) fn remove(&self, key: &Key<'_>) -> Result<(), CacheError> {
        // What a runtime left that was killed while it wrote the entry is found by nobody else.
        for separator in ['-', '+'] {
            write::discard(key.network, &self.path(key, separator)?);
        }
        let path = match self.locate(key) {
            Ok(Some((path, _))) | Err(CacheError::Corrupt { path, .. }) => path,
            Ok(None) => return Ok(()),
            Err(error) => return Err(error),
        };
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done.map_err(|cause| CacheError::io(&path, cause)),
        }
    }

    /// The result of an attachment's last ADD.
    pub(crate) fn result(&self, key: &Key<'_>) -> Result<Option<AddResult>, CacheError> {
        let Some((path, stored)) = self.locate(key)? else {
            return Ok(None);
        };
        let object = match stored {
            Stored::V1(entry) => entry.result,
            Stored::Other(object) => object,
        };
        let version = object
            .get("cniVersion")
            .and_then(|version| version.as_str());
        let version = version.unwrap_or_default().parse::<Version>();
        version
            .and_then(|version| AddResult::from_value(&object.into(), version))
            .map(Some)
            .map_err(|error| CacheError::Result(error.context(format_args!("{path:?}"))))
    }

    /// All that was kept of an attachment.
    pub(crate) fn attachment(&self, key: &Key<'_>) -> Result<Option<CachedAttachment>, CacheError> {
        match self.locate(key)? {
            None => Ok(None),
            Some((path, Stored::V1(entry))) => entry.into_attachment(&path).map(Some),
            Some((path, Stored::Other(object))) => Err(entry::wrong_kind(&path, &object)),
        }
    }

    /// The file about this attachment, and what is in it.
    fn locate(&self, key: &Key<'_>) -> Result<Option<(PathBuf, Stored)>, CacheError> {
        let usual = self.path(key, '-')?;
        let found = Stored::read(&usual);
        if matches!(&found, Ok(Some(stored)) if stored.is_of(key)) {
            return found.map(|stored| stored.map(|stored| (usual, stored)));
        }
        let other = self.path(key, '+')?;
        match Stored::read(&other)? {
            Some(stored) if stored.is_of(key) => Ok(Some((other, stored))),
            // What is wrong with the usual file matters, that it is about another does not.
            _ => found.map(|_| None),
        }
    }

    /// The attachments of this container and of this network, if given, sorted by file name.
    pub(crate) fn survey(
        &self,
        container_id: Option<&str>,
        network: Option<&str>,
    ) -> Result<CacheSurvey, CacheError> {
        // Only files whose names can be meant are read: a host has thousands.
        let is_candidate = |name: &str| {
            !name.starts_with('.')
                && container_id.is_none_or(|id| name.contains(id))
                && network.is_none_or(|network| name.starts_with(network))
        };
        let mut names = self.names()?;
        names.retain(|name| is_candidate(name));
        names.sort_unstable();
        let is_wanted = |found: &CachedAttachment| {
            container_id.is_none_or(|id| found.container_id == id)
                && network.is_none_or(|network| found.network == network)
        };
        let mut survey = CacheSurvey::default();
        let results = self.results()?;
        for name in names {
            match entry::read_attachment(&results.join(&name)) {
                Ok(Some(found)) if is_wanted(&found) => survey.attachments.push(found),
                Ok(_) => {}
                Err(error) => {
                    if network.is_none_or(|network| !error.candidates(network).is_empty()) {
                        survey.unreadable.push(error);
                    }
                }
            }
        }
        Ok(survey)
    }

    /// The files of this network that were begun and do not have their names yet, sorted. Nobody
    /// writes one while the network is locked.
    pub(crate) fn drafts(&self, network: &str) -> Result<Vec<PathBuf>, CacheError> {
        let (results, prefix) = (self.results()?, write::draft_prefix(network));
        let mut names = self.names()?;
        names.retain(|name| name.starts_with(&prefix));
        names.sort_unstable();
        Ok(names.iter().map(|name| results.join(name)).collect())
    }

    fn names(&self) -> Result<Vec<String>, CacheError> {
        let dir = self.results()?;
        let failed = |cause| CacheError::io(&dir, cause);
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let names = entries.map(|entry| entry.map(|entry| entry.file_name().into_string().ok()));
        names
            .filter_map(|name| name.map_err(failed).transpose())
            .collect()
    }
}
