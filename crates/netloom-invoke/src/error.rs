//! Why a plugin did not do what it was asked.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use netloom_spec::{Error as CniError, code};

use crate::quote;

/// Why a plugin did not do what it was asked.
///
/// [`Error::Plugin`] has the plugin's own error object, untouched. Every error converts into a CNI
/// error object; like libcni, a plugin that failed without an error object has code 0;
/// one that was killed for its time limit, or because the caller cancelled, has 11.
///
/// What the plugin wrote is kept: [`Error::stdout`], [`Error::stderr`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration has no `type`.
    #[error("no plugin name provided")]
    NoPluginName,

    /// The `type` is not a plain file name.
    #[error("invalid plugin name: {name}")]
    InvalidPluginName {
        /// The `type`.
        name: String,
    },

    /// There is no directory to search in.
    #[error("no paths provided")]
    NoPaths,

    /// No directory has the plugin.
    #[error("failed to find plugin {plugin:?} in path [{}]", list(paths))]
    NotFound {
        /// The `type`.
        plugin: String,
        /// The directories searched.
        paths: Vec<PathBuf>,
    },

    /// The plugin failed with an error object.
    #[error("{error}")]
    Plugin {
        /// The plugin's own error object.
        error: Box<CniError>,
        /// What it wrote to stdout, where the object stood.
        stdout: String,
        /// What it wrote to stderr (the end of it, if long).
        stderr: String,
    },

    /// The executable could not be started.
    #[error("failed to execute plugin {plugin:?}: {cause}")]
    Start {
        /// The executable.
        plugin: PathBuf,
        /// What the kernel said.
        #[source]
        cause: io::Error,
    },

    /// The conversation with the running plugin broke; it was killed.
    #[error("failed to talk to plugin {plugin:?}: {cause}")]
    Conversation {
        /// The executable.
        plugin: PathBuf,
        /// What the kernel said.
        #[source]
        cause: io::Error,
        /// What it wrote to stderr (the end of it, if long).
        stderr: String,
    },

    /// The plugin failed and wrote nothing to stdout.
    #[error("netplugin failed{}: {end}", message(stderr))]
    Died {
        /// How it ended: `exit status 1`, `signal: killed`.
        end: String,
        /// What it wrote to stderr (the end of it, if long).
        stderr: String,
    },

    /// The plugin was still running when its time was up, and was killed.
    #[error(
        "netplugin failed{}: signal: killed: {plugin:?} did not finish within its time limit \
         of {limit:?}",
        message(stderr)
    )]
    TimeLimit {
        /// The executable.
        plugin: PathBuf,
        /// The time it had.
        limit: Duration,
        /// What it wrote to stderr (the end of it, if long).
        stderr: String,
    },

    /// The caller cancelled: the plugin was killed, or not started.
    #[error("plugin {plugin:?} was cancelled by its caller{}", said(stderr))]
    Cancelled {
        /// The executable.
        plugin: PathBuf,
        /// What it wrote to stderr (the end of it, if long).
        stderr: String,
    },

    /// The plugin was not started, as the time of the whole call was up before.
    #[error("plugin {plugin:?} was not started: the time of the call was up")]
    NoTime {
        /// The executable.
        plugin: PathBuf,
    },

    /// The plugin wrote more to stdout than any answer needs, and was killed.
    #[error(
        "plugin {plugin:?} was killed: it wrote more than {limit} bytes to stdout, where its answer belongs"
    )]
    TooMuchOutput {
        /// The executable.
        plugin: PathBuf,
        /// How much it may write, in bytes.
        limit: usize,
        /// What it wrote to stderr (the end of it, if long).
        stderr: String,
    },

    /// The plugin failed, and what it wrote to stdout is not an error object.
    #[error(
        "netplugin failed but error parsing its diagnostic message {}: {problem}: {end}",
        quote::beginning(stdout)
    )]
    NoErrorObject {
        /// What it wrote to stdout.
        stdout: String,
        /// Why that is not an error object.
        problem: String,
        /// How it ended: `exit status 1`, `signal: killed`.
        end: String,
        /// What it wrote to stderr (the end of it, if long).
        stderr: String,
    },

    /// A plugin linked into this program panicked.
    #[error("plugin {plugin:?} panicked: {message}")]
    Panicked {
        /// The plugin's name.
        plugin: String,
        /// What it panicked with.
        message: String,
    },

    /// The answer to VERSION is not version information.
    #[error(transparent)]
    VersionInfo(CniError),

    /// The plugin succeeded, but its result cannot be used.
    #[error("plugin {plugin:?}: {cause}")]
    Result {
        /// The executable.
        plugin: PathBuf,
        /// What is wrong with the result.
        #[source]
        cause: Box<CniError>,
        /// What it wrote to stdout.
        stdout: String,
    },
}

impl Error {
    /// The code of the CNI error object this converts into.
    pub fn code(&self) -> u32 {
        match self {
            Self::Plugin { error, .. } => error.code,
            Self::Result { cause, .. } => cause.code,
            Self::VersionInfo(error) => error.code,
            Self::NoPluginName | Self::InvalidPluginName { .. } => code::INVALID_CONFIG,
            Self::NoPaths => code::INVALID_ENVIRONMENT,
            Self::Died { .. } | Self::NoErrorObject { .. } => 0,
            Self::TimeLimit { .. } | Self::Cancelled { .. } | Self::NoTime { .. } => {
                code::TRY_AGAIN_LATER
            }
            Self::NotFound { .. }
            | Self::Start { .. }
            | Self::Conversation { .. }
            | Self::TooMuchOutput { .. }
            | Self::Panicked { .. } => code::INTERNAL,
        }
    }

    /// What the plugin wrote to stdout, as far as that is not in an error object alone; `None` if it
    /// wrote nothing, or did not come so far.
    pub fn stdout(&self) -> Option<&str> {
        match self {
            Self::Plugin { stdout, .. }
            | Self::NoErrorObject { stdout, .. }
            | Self::Result { stdout, .. } => Some(stdout),
            _ => None,
        }
        .map(String::as_str)
        .filter(|text| !text.is_empty())
    }

    /// What the plugin wrote to stderr (the end of it, if long); `None` if it wrote nothing, did not
    /// come so far, or wrote to the caller's own ([`Stderr::Inherit`](crate::Stderr)).
    pub fn stderr(&self) -> Option<&str> {
        match self {
            Self::Plugin { stderr, .. }
            | Self::Conversation { stderr, .. }
            | Self::Died { stderr, .. }
            | Self::TimeLimit { stderr, .. }
            | Self::Cancelled { stderr, .. }
            | Self::TooMuchOutput { stderr, .. }
            | Self::NoErrorObject { stderr, .. } => Some(stderr),
            _ => None,
        }
        .map(String::as_str)
        .filter(|text| !text.is_empty())
    }
}

impl From<Error> for CniError {
    fn from(error: Error) -> Self {
        let (code, msg) = (error.code(), error.to_string());
        match error {
            Error::Plugin { error, .. } => *error,
            Error::VersionInfo(error) => error,
            Error::Result { plugin, cause, .. } => cause.context(format_args!("plugin {plugin:?}")),
            Error::NoErrorObject { stderr, .. } => CniError::new(code, msg).with_details(stderr),
            _ => CniError::new(code, msg),
        }
    }
}

/// What it said, if anything.
fn said(stderr: &str) -> String {
    match stderr.is_empty() {
        true => String::new(),
        false => format!("; it said {}", quote::end(stderr)),
    }
}

/// The directories of a search, separated by spaces.
fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
    paths.join(" ")
}

/// What stands for the message that a plugin did not give.
fn message(stderr: &str) -> String {
    match stderr.is_empty() {
        true => " with no error message".to_owned(),
        false => format!(": {}", quote::end(stderr)),
    }
}
