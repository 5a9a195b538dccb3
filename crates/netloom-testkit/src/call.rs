//! One execution of a program, and what came of it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use crate::pod::Pod;
use crate::product::product;

/// How long a call may take, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program, its environment and its stdin: made once, run any number of times.
///
/// The environment holds what was set here and the caller's `PATH` and `HOME`; nothing else leaks
/// in from the test's own.
#[derive(Clone, Debug)]
pub struct Call {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    stdin: Vec<u8>,
}

impl Call {
    /// A call of any program; of the release's, where that is tested (see [`product`](crate::product)).
    #[must_use]
    pub fn new(program: impl AsRef<Path>) -> Self {
        let environment = ["PATH", "HOME"]
            .iter()
            .filter_map(|key| Some((OsString::from(key), std::env::var_os(key)?)))
            .collect();
        Self {
            program: product(program),
            arguments: Vec::new(),
            environment,
            stdin: Vec::new(),
        }
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .insert(key.into(), value.as_ref().to_owned());
        self
    }

    /// Takes an environment variable away.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.environment.remove(OsStr::new(key));
        self
    }

    /// An environment variable that the call will have.
    #[must_use]
    pub fn variable(&self, key: &str) -> Option<&OsStr> {
        self.environment
            .get(OsStr::new(key))
            .map(OsString::as_os_str)
    }

    /// Sets `CNI_CONTAINERID`, `CNI_NETNS` and `CNI_IFNAME=eth0` as a runtime does for this pod.
    #[must_use]
    pub fn pod(self, pod: &Pod) -> Self {
        self.env("CNI_CONTAINERID", pod.container_id())
            .env("CNI_NETNS", pod.path())
            .env("CNI_IFNAME", "eth0")
    }

    /// Sets the bytes on stdin.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Appends an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// The same call made by another program, which gets `arguments`, then this program and its
    /// arguments: `strace`, `time` …
    #[must_use]
    pub fn under<A: AsRef<OsStr>>(&self, wrapper: &str, arguments: &[A]) -> Self {
        let mut wrapped = self.clone();
        wrapped.program = wrapper.into();
        wrapped.arguments = arguments.iter().map(|a| a.as_ref().to_owned()).collect();
        wrapped.arguments.push(self.program.clone().into());
        wrapped.arguments.extend(self.arguments.iter().cloned());
        wrapped
    }

    /// Runs it to its end in the namespaces of the calling thread. What takes longer than any
    /// plugin may is killed, with all its children.
    #[must_use]
    pub fn run(&self) -> Outcome {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {:?}: {error}", self.program));
        let pipe = child.stdin.take();
        let group = Pid::from_child(&child);
        let (tell, ended) = mpsc::channel::<()>();
        let output = std::thread::scope(|scope| {
            let watch = scope.spawn(move || {
                if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                    let _ = kill_process_group(group, Signal::KILL);
                }
            });
            let feed = scope.spawn(move || {
                // A program that ends without reading its input is no fault of the test.
                let _ = pipe.map(|mut pipe| pipe.write_all(&self.stdin));
            });
            let output = child.wait_with_output();
            drop(tell);
            // A thread that is not quite gone would keep the host's mount namespace in use.
            let joined = watch.join().and(feed.join());
            joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            output
        });
        let output =
            output.unwrap_or_else(|error| panic!("cannot wait for {:?}: {error}", self.program));
        Outcome {
            call: self.describe(),
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The call as one line of a shell, for messages.
    fn describe(&self) -> String {
        let mut line = String::new();
        for (key, value) in &self.environment {
            if key.to_string_lossy().starts_with("CNI_") {
                line.push_str(&format!("{}={:?} ", key.to_string_lossy(), value));
            }
        }
        line.push_str(&self.program.to_string_lossy());
        for argument in &self.arguments {
            line.push(' ');
            line.push_str(&argument.to_string_lossy());
        }
        format!("{line} <<< '{}'", String::from_utf8_lossy(&self.stdin))
    }
}

/// What a call left: exit status, stdout and stderr.
#[derive(Clone, Debug)]
pub struct Outcome {
    call: String,
    /// How the process ended.
    pub status: ExitStatus,
    /// Everything written to stdout.
    pub stdout: String,
    /// Everything written to stderr.
    pub stderr: String,
}

impl Outcome {
    /// The exit code; `None` if a signal ended the process.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Whether the exit code is 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status.success()
    }

    /// stdout as exactly one JSON document; panics if it is not.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is not one JSON document: {error}\n{self}"))
    }

    /// Asserts success and gives back stdout's JSON, or `null` for an empty stdout.
    #[track_caller]
    pub fn succeeds(&self) -> Value {
        assert!(self.is_success(), "the call failed\n{self}");
        if self.stdout.trim().is_empty() {
            return Value::Null;
        }
        self.json()
    }

    /// Asserts success with nothing on stdout, as DEL, CHECK, GC and STATUS must.
    #[track_caller]
    pub fn succeeds_silently(&self) {
        assert!(self.is_success(), "the call failed\n{self}");
        assert_eq!(self.stdout, "", "stdout should be empty\n{self}");
    }

    /// Asserts failure as the CNI spec wants it: exit status not 0, one error object on stdout.
    #[track_caller]
    pub fn fails(&self) -> CniError {
        assert!(
            self.code().is_some_and(|code| code != 0),
            "the call should fail with an exit code\n{self}"
        );
        let object = self.json();
        let code = object["code"].as_u64();
        let msg = object["msg"].as_str();
        let (Some(code), Some(msg)) = (code, msg) else {
            panic!("stdout is not a CNI error object\n{self}");
        };
        CniError {
            code,
            msg: msg.to_owned(),
            details: object["details"].as_str().unwrap_or_default().to_owned(),
            outcome: self.clone(),
        }
    }

    /// Asserts failure with this CNI error code and gives back the error.
    #[track_caller]
    pub fn fails_with(&self, code: u64) -> CniError {
        let error = self.fails();
        assert_eq!(error.code, code, "the error code should be {code}\n{self}");
        error
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "  call:   {}", self.call)?;
        writeln!(f, "  status: {}", self.status)?;
        writeln!(f, "  stdout: {}", self.stdout.trim_end())?;
        write!(f, "  stderr: {}", self.stderr.trim_end())
    }
}

/// A CNI error object as a plugin printed it.
#[derive(Clone, Debug)]
pub struct CniError {
    /// The CNI error code.
    pub code: u64,
    /// The one-line message.
    pub msg: String,
    /// The longer text; empty if absent.
    pub details: String,
    outcome: Outcome,
}

impl CniError {
    /// `msg; details`.
    #[must_use]
    pub fn text(&self) -> String {
        if self.details.is_empty() {
            self.msg.clone()
        } else {
            format!("{}; {}", self.msg, self.details)
        }
    }

    /// Asserts that message or details name each of these.
    #[track_caller]
    pub fn names(&self, parts: &[&str]) -> &Self {
        for part in parts {
            assert!(
                self.text().contains(part),
                "the error should name {part:?}\n{}",
                self.outcome
            );
        }
        self
    }
}
