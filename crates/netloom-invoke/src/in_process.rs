//! Plugins linked into the caller.

use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::find::check_name;
use crate::stderr::Log;
use crate::{Env, Error, Exec, Limits, Stderr, outcome};

/// A plugin as a function: gets its environment, its request (what stdin would hold), where to
/// write the answer and where to write the log; returns the exit status.
pub type Entry = fn(&Env, &[u8], &mut dyn Write, &mut dyn Write) -> i32;

type Linked = Box<dyn Fn(&Env, &[u8], &mut dyn Write, &mut dyn Write) -> i32 + Send + Sync>;

/// Calls plugins that are linked into the caller, found by name. A name that it does not have is
/// left to another [`Exec`], or not found.
///
/// A plugin in this process cannot be killed: limits only keep it from being started.
#[derive(Default)]
pub struct InProcessExec {
    plugins: BTreeMap<String, Linked>,
    stderr: Stderr,
    otherwise: Option<Box<dyn Exec>>,
}

impl InProcessExec {
    /// Knows no plugin.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the plugin `name`: an [`Entry`] or a closure of that shape.
    #[must_use]
    pub fn with(
        mut self,
        name: impl Into<String>,
        entry: impl Fn(&Env, &[u8], &mut dyn Write, &mut dyn Write) -> i32 + Send + Sync + 'static,
    ) -> Self {
        self.plugins.insert(name.into(), Box::new(entry));
        self
    }

    /// Leaves names that it does not have to `exec`.
    #[must_use]
    pub fn otherwise(mut self, exec: impl Exec + 'static) -> Self {
        self.otherwise = Some(Box::new(exec));
        self
    }

    /// Where the plugins' stderr goes.
    #[must_use]
    pub fn stderr(mut self, stderr: Stderr) -> Self {
        self.stderr = stderr;
        self
    }

    /// The names of the plugins linked in, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.plugins.keys().map(String::as_str)
    }

    fn call(&self, name: &str, entry: &Linked, stdin: &[u8], env: &Env) -> Result<Vec<u8>, Error> {
        let (mut stdout, mut log) = (Vec::new(), Log::new(&self.stderr));
        // Nothing that the panic may have left half done is looked at again but these buffers.
        let called = catch_unwind(AssertUnwindSafe(|| {
            entry(env, stdin, &mut stdout, &mut log)
        }));
        match called {
            Ok(0) => Ok(stdout),
            Ok(status) => Err(outcome::failure(
                format!("exit status {status}"),
                &stdout,
                log.end(),
            )),
            Err(panic) => Err(Error::Panicked {
                plugin: name.to_owned(),
                message: panic_message(&*panic),
            }),
        }
    }
}

impl Exec for InProcessExec {
    fn exec_plugin(
        &self,
        plugin: &Path,
        stdin: &[u8],
        env: &[(OsString, OsString)],
    ) -> Result<Vec<u8>, Error> {
        let name = plugin
            .file_name()
            .map(|name| name.to_string_lossy())
            .unwrap_or_default();
        match (self.plugins.get(&*name), &self.otherwise) {
            (Some(entry), _) => self.call(&name, entry, stdin, &env.iter().cloned().collect()),
            (None, Some(exec)) => exec.exec_plugin(plugin, stdin, env),
            (None, None) => Err(not_linked(&name, &[])),
        }
    }

    fn exec_plugin_within(
        &self,
        plugin: &Path,
        stdin: &[u8],
        env: &[(OsString, OsString)],
        limits: &Limits,
    ) -> Result<Vec<u8>, Error> {
        let name = plugin.file_name().unwrap_or_default().to_string_lossy();
        match &self.otherwise {
            Some(exec) if !self.plugins.contains_key(&*name) => {
                exec.exec_plugin_within(plugin, stdin, env, limits)
            }
            _ => {
                limits.allow(plugin)?;
                self.exec_plugin(plugin, stdin, env)
            }
        }
    }

    fn find_in_path(&self, plugin: &str, paths: &[PathBuf]) -> Result<PathBuf, Error> {
        check_name(plugin)?;
        match &self.otherwise {
            _ if self.plugins.contains_key(plugin) => Ok(PathBuf::from(plugin)),
            Some(exec) => exec.find_in_path(plugin, paths),
            None => Err(not_linked(plugin, paths)),
        }
    }
}

impl fmt::Debug for InProcessExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcessExec")
            .field("plugins", &self.plugins.keys())
            .field("stderr", &self.stderr)
            .field("otherwise", &self.otherwise.is_some())
            .finish()
    }
}

fn not_linked(plugin: &str, paths: &[PathBuf]) -> Error {
    Error::NotFound {
        plugin: plugin.to_owned(),
        paths: paths.to_vec(),
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(env: &Env, stdin: &[u8], stdout: &mut dyn Write, stderr: &mut dyn Write) -> i32 {
        writeln!(stderr, "asked for {:?}", env.get("CNI_COMMAND")).unwrap();
        stdout.write_all(stdin).unwrap();
        0
    }

    fn env(command: &str) -> Env {
        Env::new().with("CNI_COMMAND", command)
    }

    #[test]
    fn a_linked_plugin_gets_request_and_environment_and_its_log_is_captured() {
        let (stderr, memory) = Stderr::memory();
        let exec = InProcessExec::new().with("echo", echo).stderr(stderr);
        let path = exec.find_in_path("echo", &[]).unwrap();
        let stdout = exec
            .exec_plugin(&path, b"request", env("ADD").as_slice())
            .unwrap();
        assert_eq!(stdout, b"request");
        assert_eq!(*memory.lock().unwrap(), b"asked for Some(\"ADD\")\n");
    }

    #[test]
    fn the_path_of_an_executable_of_that_name_is_the_linked_plugin_too() {
        let exec = InProcessExec::new()
            .with("echo", echo)
            .stderr(Stderr::memory().0);
        let stdout = exec
            .exec_plugin(Path::new("/opt/cni/bin/echo"), b"x", &[])
            .unwrap();
        assert_eq!(stdout, b"x");
    }

    #[test]
    fn an_unknown_plugin_is_not_found() {
        let exec = InProcessExec::new().with("echo", echo);
        let error = exec
            .find_in_path("other", &["/a".into(), "/b".into()])
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"failed to find plugin "other" in path [/a /b]"#
        );
        assert!(matches!(
            exec.exec_plugin(Path::new("other"), b"", &[]),
            Err(Error::NotFound { .. })
        ));
        assert!(matches!(
            exec.find_in_path("../echo", &[]),
            Err(Error::InvalidPluginName { .. })
        ));
    }

    #[test]
    fn an_unknown_plugin_is_left_to_the_other_engine() {
        let other = InProcessExec::new().with("other", |_, _, stdout, _| {
            stdout.write_all(b"from the other").map_or(1, |()| 0)
        });
        let exec = InProcessExec::new().with("echo", echo).otherwise(other);
        let path = exec.find_in_path("other", &[]).unwrap();
        assert_eq!(
            exec.exec_plugin(&path, b"", &[]).unwrap(),
            b"from the other"
        );
        assert_eq!(exec.names().collect::<Vec<_>>(), ["echo"]);
    }

    #[test]
    fn a_failing_plugin_is_mapped_like_a_process() {
        let exec = InProcessExec::new()
            .with("object", |_, _, stdout, _| {
                stdout
                    .write_all(br#"{"code":7,"msg":"bad"}"#)
                    .map_or(0, |()| 1)
            })
            .with("silent", |_, _, _, stderr| {
                stderr.write_all(b"oh").map_or(0, |()| 3)
            })
            .stderr(Stderr::memory().0);
        assert!(matches!(
            exec.exec_plugin(Path::new("object"), b"", &[]),
            Err(Error::Plugin { error, .. }) if error.code == 7 && error.msg == "bad"
        ));
        let error = exec.exec_plugin(Path::new("silent"), b"", &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"netplugin failed: "oh": exit status 3"#
        );
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let exec = InProcessExec::new().with("bad", |_, _, _, _| panic!("no {}", "bridge"));
        let error = exec.exec_plugin(Path::new("bad"), b"", &[]).unwrap_err();
        assert_eq!(error.to_string(), r#"plugin "bad" panicked: no bridge"#);
        assert_eq!(error.code(), 999);
    }
}
