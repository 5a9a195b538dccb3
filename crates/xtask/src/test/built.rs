//! The test programs that cargo built, so that each can be run in the tier it belongs to.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::workspace::Workspace;

/// Test programs that measure time, memory or throughput, or that work the whole machine.
const ALONE: [&str; 6] = [
    "bandwidth",
    "chaos",
    "containerd",
    "limits",
    "parallel",
    "podman",
];

/// One program that cargo built.
pub(crate) struct Built {
    /// The folder below `crates/`.
    pub(crate) krate: String,
    /// `lib`, `bin`, `test` or `example`, as cargo calls the target's kind.
    pub(crate) kind: String,
    pub(crate) name: String,
    /// Whether it is a test program, or the program itself.
    pub(crate) is_test: bool,
    pub(crate) executable: PathBuf,
    /// The crate's own folder, where its tests run.
    pub(crate) folder: PathBuf,
}

/// The cluster's daemon, which needs programs that the others do not: it has a tier of its own.
pub(super) const DAEMON: &str = "netloom-node";

/// All crates but [`DAEMON`], for cargo.
pub(super) const ALL_BUT_DAEMON: [&str; 3] = ["--workspace", "--exclude", DAEMON];

/// Builds all test programs, programs and examples of some crates.
pub(crate) fn build(workspace: &Workspace, crates: &[&str]) -> Result<Vec<Built>> {
    // No choice of targets: only then are examples built as the programs that they are.
    let mut command = workspace.cargo(&["test"]);
    command.args(crates);
    command.args(["--no-run", "--message-format=json-render-diagnostics"]);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo test --no-run")?;
    let stdout = child.stdout.take().context("a piped stdout is there")?;
    let mut all = Vec::new();
    for line in BufReader::new(stdout).lines() {
        // Anything that is not a message of cargo's was printed by a build script.
        if let Ok(message) = serde_json::from_str::<Value>(&line?) {
            all.extend(built(&message));
        }
    }
    let status = child.wait()?;
    ensure!(
        status.success(),
        "the tests do not build: cargo test --no-run: {status}"
    );
    Ok(all)
}

/// What a message of cargo's says was built, if it was a program of this workspace.
fn built(message: &Value) -> Option<Built> {
    let executable = message["executable"].as_str()?;
    let manifest = PathBuf::from(message["manifest_path"].as_str()?);
    let folder = manifest.parent()?.to_owned();
    Some(Built {
        krate: folder.file_name()?.to_str()?.to_owned(),
        kind: message["target"]["kind"][0].as_str()?.to_owned(),
        name: message["target"]["name"].as_str()?.to_owned(),
        is_test: message["profile"]["test"].as_bool()?,
        executable: executable.into(),
        folder,
    })
}

impl Built {
    /// The program with the environment that cargo gives to tests.
    pub(crate) fn command(&self, all: &[Built]) -> Command {
        let mut command = Command::new(&self.executable);
        command.current_dir(&self.folder);
        command
            .env("CARGO_MANIFEST_DIR", &self.folder)
            .env("CARGO_PKG_NAME", &self.krate);
        let programs = all
            .iter()
            .filter(|other| other.krate == self.krate && !other.is_test);
        for program in programs.filter(|program| program.kind == "bin") {
            command.env(
                format!("CARGO_BIN_EXE_{}", program.name),
                &program.executable,
            );
        }
        command
    }

    /// Whether it is to run with nothing beside it.
    pub(crate) fn wants_all(&self) -> bool {
        self.kind == "test" && ALONE.contains(&self.name.as_str())
    }

    pub(crate) fn title(&self) -> String {
        match self.kind.as_str() {
            "lib" => self.krate.clone(),
            kind => format!("{} {kind} {}", self.krate, self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_about_a_test_program_is_understood() {
        let message = serde_json::json!({
            "reason": "compiler-artifact",
            "manifest_path": "/src/crates/netloom-spec/Cargo.toml",
            "target": { "kind": ["test"], "name": "corpus" },
            "profile": { "test": true },
            "executable": "/target/debug/deps/corpus-1",
        });
        let built = built(&message).unwrap();
        assert_eq!(built.title(), "netloom-spec test corpus");
        assert!(built.is_test);
        assert_eq!(built.folder, PathBuf::from("/src/crates/netloom-spec"));
    }

    #[test]
    fn other_messages_are_passed_over() {
        for message in [
            serde_json::json!({ "reason": "build-finished", "success": true }),
            serde_json::json!({ "reason": "compiler-artifact", "executable": null }),
        ] {
            assert!(built(&message).is_none());
        }
    }
}
