//! The seam between callers of plugins and the ways to execute one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use netloom_spec::PluginInfo;

use crate::{Error, Limits, find_in_path};

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

    /// [`Exec::exec_plugin`] that ends when the `limits` say so. The default only starts nothing that
    /// must not be started any more: override it where a plugin that runs can be ended.
    ///
    /// # Errors
    /// As [`Exec::exec_plugin`], or [`Error::Cancelled`], [`Error::TimeLimit`] or [`Error::NoTime`].
    fn exec_plugin_within(
        &self,
        plugin: &Path,
        stdin: &[u8],
        env: &[(OsString, OsString)],
        limits: &Limits,
    ) -> Result<Vec<u8>, Error> {
        limits.allow(plugin)?;
        self.exec_plugin(plugin, stdin, env)
    }

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

/// An engine within limits, for [`add`](crate::add), [`run`](crate::run) and
/// [`version_info`](crate::version_info).
///
/// ```no_run
/// use netloom_invoke::{Cancellation, Limits, ProcessExec, Within, version_info};
/// use std::path::Path;
/// use std::time::{Duration, Instant};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cancellation = Cancellation::new()?; // a clone goes to whoever may cancel
/// let limits = Limits::none()
///     .until(Instant::now() + Duration::from_secs(5))
///     .cancelled_by(&cancellation);
/// let exec = ProcessExec::default();
/// let info = version_info(&Within::new(&exec, &limits), Path::new("/opt/cni/bin/bridge"))?;
/// println!("{:?}", info.supported_versions);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Within<'a> {
    exec: &'a dyn Exec,
    limits: &'a Limits,
}

impl<'a> Within<'a> {
    /// `exec` within `limits`.
    pub fn new(exec: &'a dyn Exec, limits: &'a Limits) -> Self {
        Self { exec, limits }
    }
}

impl Exec for Within<'_> {
    fn exec_plugin(
        &self,
        plugin: &Path,
        stdin: &[u8],
        env: &[(OsString, OsString)],
    ) -> Result<Vec<u8>, Error> {
        self.exec
            .exec_plugin_within(plugin, stdin, env, self.limits)
    }

    fn find_in_path(&self, plugin: &str, paths: &[PathBuf]) -> Result<PathBuf, Error> {
        self.exec.find_in_path(plugin, paths)
    }

    fn decode(&self, bytes: &[u8]) -> Result<PluginInfo, Error> {
        self.exec.decode(bytes)
    }
}
