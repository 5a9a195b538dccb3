//! What a wrapper is told by the file beside it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The name of the file, in the directory of the wrappers.
pub const FILE: &str = ".netloom-trace.json";

/// The settings of the wrappers of one directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the plugins are, first to last.
    pub directories: Vec<PathBuf>,
    /// Where calls are written down, one JSON object a line.
    pub log: PathBuf,
    /// The size in bytes at which the log becomes `LOG.1`, and a new one begins.
    pub limit: u64,
    /// Secrets are written down as they are.
    pub raw: bool,
}

impl Settings {
    /// Reads those of the wrappers in a directory.
    ///
    /// # Errors
    /// The file and what is wrong with it, in a line.
    pub fn read(directory: &Path) -> Result<Self, String> {
        let path = directory.join(FILE);
        let text = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
    }
}
