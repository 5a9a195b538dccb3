//! Why an operation failed.

use std::io;
use std::path::PathBuf;

use netloom_spec::{Error as CniError, PluginConf, code};

use crate::cache::CacheError;

/// Why an operation failed. It converts into a CNI error object, which keeps the code of the
/// plugin's own error.
///
/// The text tells the cause too, so it needs no [`source`](std::error::Error::source) beside it. The
/// sources are for programs: the [`netloom_invoke::Error`] that has what the plugin wrote (in a box;
/// [`Error::of_execution`] unpacks it), the [`io::Error`] of the kernel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A plugin failed, or could not be found or executed.
    #[error(
        "plugin type={plugin_type:?}{} failed ({operation}): {cause}",
        named(name)
    )]
    Plugin {
        /// Its `type`.
        plugin_type: String,
        /// The `name` in its own object; empty in most lists.
        name: String,
        /// What it was asked: add, check, delete, gc, status, version.
        operation: &'static str,
        /// What it, or the way to it, said.
        #[source]
        cause: Box<netloom_invoke::Error>,
    },

    /// A container id, interface name, network name or version that is not valid.
    #[error(transparent)]
    Invalid(CniError),

    /// The configuration is older than the CHECK command.
    #[error("configuration version {cni_version:?} does not support the CHECK command")]
    CheckNotSupported {
        /// The configuration's version.
        cni_version: String,
    },

    /// The configuration has no plugins.
    #[error("network {network:?} has no plugins")]
    NoPlugins {
        /// The network's name.
        network: String,
    },

    /// A plugin does not list the configuration's version.
    #[error(
        "plugin {plugin_type} does not support config version {cni_version:?}: it supports \
         {supported:?}"
    )]
    VersionNotSupported {
        /// The plugin's `type`.
        plugin_type: String,
        /// The configuration's version.
        cni_version: String,
        /// What the plugin lists.
        supported: Vec<String>,
    },

    /// The result of the last ADD could not be read.
    #[error("failed to get network {network:?} cached result: {cause}")]
    CachedResult {
        /// The network's name.
        network: String,
        /// What is wrong with the cache.
        #[source]
        cause: CacheError,
    },

    /// The configuration of the last ADD could not be read.
    #[error("failed to get network {network:?} cached config: {cause}")]
    CachedConfig {
        /// The network's name.
        network: String,
        /// What is wrong with the cache.
        #[source]
        cause: CacheError,
    },

    /// The result of an ADD could not be kept. The container is on the network.
    #[error("failed to set network {network:?} cached result: {cause}")]
    SetCachedResult {
        /// The network's name.
        network: String,
        /// What is wrong with the cache.
        #[source]
        cause: CacheError,
    },

    /// The attachments in the cache could not be listed.
    #[error("failed to list cached attachments: {cause}")]
    CachedAttachments {
        /// What is wrong with the cache.
        #[source]
        cause: CacheError,
    },

    /// The lock that keeps GC apart from ADD and DEL could not be had.
    #[error("failed to lock network {network:?} with {path:?}: {cause}")]
    Lock {
        /// The network's name.
        network: String,
        /// The lock file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        cause: io::Error,
    },

    /// GC was told that no attachment is valid, and not that this is meant.
    #[error(
        "network {network:?} has no valid attachment: refused to remove everything it holds; nothing \
         was done"
    )]
    NothingValid {
        /// The network's name.
        network: String,
    },

    /// GC could not remove an attachment that is no longer valid.
    #[error("failed to delete stale attachment {container_id} {if_name}: {cause}")]
    StaleAttachment {
        /// The container's id.
        container_id: String,
        /// The name of the interface inside the container.
        if_name: String,
        /// What its DEL said.
        #[source]
        cause: Box<Error>,
    },

    /// Several things failed while the operation went on; never empty.
    #[error("{}", lines(.0))]
    Several(Vec<Error>),
}

impl Error {
    pub(crate) fn of_plugin(
        conf: &PluginConf,
        operation: &'static str,
        cause: netloom_invoke::Error,
    ) -> Self {
        Self::Plugin {
            plugin_type: conf.plugin_type().to_owned(),
            name: conf.name().to_owned(),
            operation,
            cause: Box::new(cause),
        }
    }

    /// Nothing, the only error, or all of them.
    pub(crate) fn join(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }

    /// What a plugin, or the way to it, said: it has the plugin's stdout and stderr. `None` if no plugin
    /// failed; of several errors, that of the first that has one.
    pub fn of_execution(&self) -> Option<&netloom_invoke::Error> {
        match self {
            Self::Plugin { cause, .. } => Some(cause),
            Self::StaleAttachment { cause, .. } => cause.of_execution(),
            Self::Several(errors) => errors.iter().find_map(Self::of_execution),
            _ => None,
        }
    }

    /// The code of the CNI error object: the plugin's own, as far as it gave one; of several
    /// errors, that of the first.
    pub fn code(&self) -> u32 {
        match self {
            Self::Plugin { cause, .. } => cause.code(),
            Self::Invalid(cause) => cause.code,
            Self::CheckNotSupported { .. } | Self::VersionNotSupported { .. } => {
                code::INCOMPATIBLE_VERSION
            }
            Self::NoPlugins { .. } | Self::NothingValid { .. } => code::INVALID_CONFIG,
            Self::CachedResult { .. }
            | Self::CachedConfig { .. }
            | Self::SetCachedResult { .. }
            | Self::CachedAttachments { .. } => code::IO,
            Self::Lock { cause, .. }
                if matches!(
                    cause.kind(),
                    io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                ) =>
            {
                code::TRY_AGAIN_LATER
            }
            Self::Lock { .. } => code::IO,
            Self::StaleAttachment { cause, .. } => cause.code(),
            Self::Several(errors) => errors.first().map_or(code::INTERNAL, Self::code),
        }
    }
}

impl From<Error> for CniError {
    fn from(error: Error) -> Self {
        let (code, text) = (error.code(), error.to_string());
        match error {
            Error::Invalid(error) => error,
            Error::Plugin {
                plugin_type,
                name,
                operation,
                cause,
            } => {
                let named = named(&name);
                CniError::from(*cause).context(format_args!(
                    "plugin type={plugin_type:?}{named} failed ({operation})"
                ))
            }
            Error::Several(errors) => {
                let mut errors = errors.into_iter().map(CniError::from);
                let first = errors.next().unwrap_or_default();
                let others = errors.map(|error| error.to_string());
                let details = Some(first.details).filter(|details| !details.is_empty());
                let details: Vec<_> = details.into_iter().chain(others).collect();
                CniError::new(code, first.msg).with_details(details.join("\n"))
            }
            _ => CniError::new(code, text),
        }
    }
}

fn named(name: &str) -> String {
    match name.is_empty() {
        true => String::new(),
        false => format!(" name={name:?}"),
    }
}

fn lines(errors: &[Error]) -> String {
    let lines: Vec<_> = errors.iter().map(Error::to_string).collect();
    lines.join("\n")
}
