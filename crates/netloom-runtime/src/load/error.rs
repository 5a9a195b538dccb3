//! Why a configuration could not be loaded.

use std::io;
use std::path::PathBuf;

use netloom_spec::{Error as CniError, code};

/// Why a configuration could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory has no configurations at all.
    #[error("no net configurations found in {}", dir.display())]
    NoConfigsFound {
        /// The directory.
        dir: PathBuf,
    },

    /// The directory has configurations, but none of this name.
    #[error(
        "no net configuration with name \"{name}\" in {}{}",
        dir.display(),
        unusable(problems)
    )]
    NotFound {
        /// The directory.
        dir: PathBuf,
        /// The network's name.
        name: String,
        /// The files that could not be used: one may be the one that was meant.
        problems: Vec<Problem>,
    },

    /// A file or directory cannot be read.
    #[error("error reading {}: {cause}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        cause: io::Error,
    },

    /// What should be a file is something else.
    #[error("error reading {}: not a regular file", path.display())]
    NotAFile {
        /// Its path.
        path: PathBuf,
    },

    /// The content of a file is no configuration.
    #[error("{}: {cause}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        cause: CniError,
    },

    /// A list has no plugins, and the directory beside it has none for it either.
    #[error("{}: no plugin configs found{}", path.display(), match single {
        true => ": this is one plugin, not a list; its file's name must end in .conf",
        false => "",
    })]
    NoPlugins {
        /// The file of the list.
        path: PathBuf,
        /// Whether it is the object of one plugin instead of a list.
        single: bool,
    },

    /// A value that cannot be part of a configuration.
    #[error(transparent)]
    Invalid(CniError),
}

impl From<Error> for CniError {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Read { .. } | Error::NotAFile { .. } => code::IO,
            Error::Parse { cause, .. } => cause.code,
            Error::NoConfigsFound { .. } | Error::NotFound { .. } | Error::NoPlugins { .. } => {
                code::INVALID_CONFIG
            }
            Error::Invalid(cause) => return cause.clone(),
        };
        CniError::new(code, error.to_string())
    }
}

/// A file that could not be used.
#[derive(Debug)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// The network's name, if the file tells.
    pub network: Option<String>,
    /// What is wrong with it.
    pub error: Error,
}

fn unusable(problems: &[Problem]) -> String {
    let problems: Vec<_> = problems
        .iter()
        .map(|problem| problem.error.to_string())
        .collect();
    match problems.is_empty() {
        true => String::new(),
        false => format!(" (could not be used: {})", problems.join("; ")),
    }
}
