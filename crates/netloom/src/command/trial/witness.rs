//! Who executes the plugins and keeps what each said.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use netloom_invoke::{Error, Exec, Stderr};

use crate::execution::Bounded;

/// One execution of a plugin, as seen by its caller.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) plugin: PathBuf,
    pub(super) time: Duration,
    /// What it printed; empty where it failed, as the error tells it then.
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
    /// Why it failed.
    pub(super) failure: Option<String>,
}

impl Call {
    /// The plugin's name.
    pub(super) fn name(&self) -> String {
        let name = self.plugin.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

/// Executes plugins, and remembers every execution.
#[derive(Clone)]
pub(super) struct Witness {
    limit: Option<Duration>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Witness {
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self {
            limit,
            calls: Arc::default(),
        }
    }

    /// What was executed since the last time.
    pub(super) fn take(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The versions of the specification that a plugin speaks. This execution is not remembered.
    pub(super) fn versions(&self, plugin: &Path) -> Result<Vec<String>, Error> {
        let (stderr, _) = Stderr::memory();
        let exec = Bounded::by(self.limit).with_stderr(&stderr);
        Ok(netloom_invoke::version_info(&exec, plugin)?.supported_versions)
    }
}

impl Exec for Witness {
    fn exec_plugin(
        &self,
        plugin: &Path,
        stdin: &[u8],
        env: &[(OsString, OsString)],
    ) -> Result<Vec<u8>, Error> {
        let (stderr, said) = Stderr::memory();
        let exec = Bounded::by(self.limit).with_stderr(&stderr);
        let started = Instant::now();
        let outcome = exec.exec_plugin(plugin, stdin, env);
        let time = started.elapsed();
        let said = said.lock().unwrap_or_else(PoisonError::into_inner);
        let call = Call {
            plugin: plugin.to_owned(),
            time,
            stdout: outcome.as_ref().map(Clone::clone).unwrap_or_default(),
            stderr: String::from_utf8_lossy(&said).into_owned(),
            failure: outcome.as_ref().err().map(ToString::to_string),
        };
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(call);
        outcome
    }
}
