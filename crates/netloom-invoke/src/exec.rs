//! The seam between callers of plugins and the ways to execute one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use netloom_spec::PluginInfo;

use crate::{Error, find_in_path};

/// Finds and executes plugins.
pub trait Exec: Send + Sync {
    /// Executes the plugin at `plugin` with exactly the environment `env` and `stdin` as its
    /// request; returns what it wrote to stdout.
    ///
    /// # Errors
    /// The plugin's own error object ([`Error::Plugin`]) when it failed with one; otherwise what
    /// kept it from answering.
    fn exec_plugin(
        &self,
        plugin: &Path,
        stdin: &[u8],
        env: &[(OsString, OsString)],
    ) -> Result<Vec<u8>, Error>;

    /// Finds the plugin named `plugin` (the `type` of a configuration) in the directories
    /// `paths`. The default is [`find_in_path`].
    ///
    /// # Errors
    /// When the name is no plain file name, or no directory has such a file.
    fn find_in_path(&self, plugin: &str, paths: &[PathBuf]) -> Result<PathBuf, Error> {
        find_in_path(plugin, paths)
    }

    /// Decodes a plugin's answer to VERSION. The default is [`PluginInfo::parse`].
    ///
    /// # Errors
    /// When the answer is not version information.
    fn decode(&self, bytes: &[u8]) -> Result<PluginInfo, Error> {
        PluginInfo::parse(bytes).map_err(Error::VersionInfo)
    }
}
