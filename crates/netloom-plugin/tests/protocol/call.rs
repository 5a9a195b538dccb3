//! Calls a plugin in process, as a runtime would call it as a process.

use netloom_plugin::{
    AddRequest, AddResult, CheckRequest, DelRequest, Env, Error, GcRequest, Invocation, Plugin,
    StatusRequest, Undo, Version, run,
};
use serde_json::Value;
use std::io::{self, Read};
use std::sync::Mutex;

pub(crate) const CONF: &str = r#"{"cniVersion":"1.1.0","name":"blue","type":"probe"}"#;

/// The variables every test starts from, complete for every command.
pub(crate) fn env(command: &str) -> Env {
    Env::new()
        .with("CNI_COMMAND", command)
        .with("CNI_CONTAINERID", "c1")
        .with("CNI_NETNS", "/no/such/netns")
        .with("CNI_IFNAME", "eth0")
        .with("CNI_ARGS", "K=V")
        .with("CNI_PATH", "/no/such/dir")
}

pub(crate) struct Outcome {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// The one error object on stdout.
    pub(crate) fn error(&self) -> Error {
        assert_eq!(self.status, 1, "{}", self.stdout);
        Error::parse(self.stdout.as_bytes()).unwrap()
    }

    /// Code, message and details of the error.
    pub(crate) fn error_parts(&self) -> (u32, String, String) {
        let error = self.error();
        (error.code, error.msg, error.details)
    }

    /// The one document on stdout of a call that succeeded.
    pub(crate) fn document(&self) -> Value {
        assert_eq!(self.status, 0, "{}", self.stdout);
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// A call that succeeded and had nothing to say.
    pub(crate) fn assert_silent(&self) {
        assert_eq!((self.status, self.stdout.as_str()), (0, ""));
    }
}

pub(crate) fn call(plugin: &dyn Plugin, env: &Env, stdin: &str) -> Outcome {
    call_with(plugin, &[], env, &mut stdin.as_bytes())
}

pub(crate) fn call_with(
    plugin: &dyn Plugin,
    registry: &[&'static dyn Plugin],
    env: &Env,
    stdin: &mut dyn Read,
) -> Outcome {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let status = run(Invocation {
        plugin,
        registry,
        env,
        stdin,
        stdout: &mut stdout,
        stderr: &mut stderr,
    });
    let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    Outcome {
        status,
        stdout,
        stderr,
    }
}

/// A stdin that must not be read.
pub(crate) struct Untouchable;

impl Read for Untouchable {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        panic!("stdin was read");
    }
}

/// A stdin that fails.
pub(crate) struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the pipe is on fire"))
    }
}

/// A plugin that records which operations were called.
#[derive(Default)]
pub(crate) struct Probe {
    pub(crate) called: Mutex<Vec<&'static str>>,
    netns: Mutex<String>,
}

impl Probe {
    fn note(&self, operation: &'static str) {
        self.called.lock().unwrap().push(operation);
    }

    pub(crate) fn calls(&self) -> Vec<&'static str> {
        self.called.lock().unwrap().clone()
    }

    /// The namespace of the last DEL; empty if it had none.
    pub(crate) fn netns(&self) -> String {
        self.netns.lock().unwrap().clone()
    }
}

impl Plugin for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn release(&self) -> &'static str {
        "v7.0.1"
    }

    fn add<'r>(&self, _: &'r AddRequest<'r>, _: &mut Undo<'r>) -> Result<AddResult, Error> {
        self.note("add");
        Ok(AddResult::new())
    }

    fn check(&self, _: &CheckRequest<'_>) -> Result<(), Error> {
        self.note("check");
        Ok(())
    }

    fn del(&self, request: &DelRequest<'_>) -> Result<(), Error> {
        self.note("del");
        *self.netns.lock().unwrap() = request.netns.unwrap_or_default().to_owned();
        let passed_on = request.env().get("CNI_NETNS").unwrap_or_default();
        assert_eq!(passed_on, request.netns.unwrap_or_default());
        Ok(())
    }

    fn gc(&self, _: &GcRequest<'_>) -> Result<(), Error> {
        self.note("gc");
        Ok(())
    }

    fn status(&self, _: &StatusRequest<'_>) -> Result<(), Error> {
        self.note("status");
        Ok(())
    }
}

/// A plugin of which only ADD matters.
pub(crate) struct Adder(
    pub(crate) for<'r> fn(&'r AddRequest<'r>, &mut Undo<'r>) -> Result<AddResult, Error>,
);

impl Plugin for Adder {
    fn name(&self) -> &'static str {
        "adder"
    }

    fn add<'r>(
        &self,
        request: &'r AddRequest<'r>,
        undo: &mut Undo<'r>,
    ) -> Result<AddResult, Error> {
        (self.0)(request, undo)
    }

    fn check(&self, _: &CheckRequest<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn del(&self, _: &DelRequest<'_>) -> Result<(), Error> {
        Ok(())
    }
}

/// A plugin of few versions.
pub(crate) struct Narrow(pub(crate) &'static [Version]);

impl Plugin for Narrow {
    fn name(&self) -> &'static str {
        "narrow"
    }

    fn versions(&self) -> &'static [Version] {
        self.0
    }

    fn add<'r>(&self, _: &'r AddRequest<'r>, _: &mut Undo<'r>) -> Result<AddResult, Error> {
        Ok(AddResult::new())
    }

    fn check(&self, _: &CheckRequest<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn del(&self, _: &DelRequest<'_>) -> Result<(), Error> {
        Ok(())
    }
}
