//! `netloom conform`: it finds what is wrong, passes what is right, and tells it in every form.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod forms;
mod kinds;
mod own;
mod wrong;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use netloom_testkit::{Call, Outcome, product, skip};
use serde_json::Value;
use tempfile::TempDir;

const NETLOOM: &str = env!("CARGO_BIN_EXE_netloom");

/// A directory that the throw-away hosts do not cover.
fn project() -> TempDir {
    let dir = tempfile::Builder::new()
        .prefix("netloom-conform-")
        .tempdir_in("/var/tmp")
        .unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn conform(arguments: &[&str]) -> Call {
    let program = product(Path::new(NETLOOM));
    let call = Call::new(&program)
        .env("CNI_PATH", "/nonexistent")
        .arg("conform");
    arguments.iter().fold(call, |call, it| call.arg(it))
}

/// A plugin as `netloom new` makes it; `None` after a skip.
fn made(kind: &str, dir: &Path) -> Option<String> {
    let needs = if kind == "shell" { "jq" } else { "python3" };
    if std::process::Command::new(needs)
        .arg("--version")
        .output()
        .is_err()
    {
        skip(&format!("needs {needs}"));
        return None;
    }
    let made = Call::new(NETLOOM)
        .arg("new")
        .arg("hello")
        .arg("--kind")
        .arg(kind)
        .arg("--dir")
        .arg(dir)
        .run();
    assert!(made.is_success(), "{made}");
    Some(dir.join("hello").to_str().unwrap().to_owned())
}

/// The document of a run of many cases, for which the patience of a single call is too short, with the
/// exit status.
fn long_run(arguments: &[&str]) -> (Value, Option<i32>) {
    let mut command = std::process::Command::new(product(Path::new(NETLOOM)));
    command.arg("conform").arg("--json").args(arguments);
    command.env("CNI_PATH", "/nonexistent");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let document =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|it| panic!("{it}: {said}"));
    (document, output.status.code())
}

fn document(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome}"))
}

/// The ids of the cases that failed, and what was said of them.
fn failed(plugin: &Value) -> Vec<(String, String)> {
    let cases = plugin["cases"].as_array().unwrap();
    let failed = cases.iter().filter(|it| it["verdict"] == "failed");
    let text = |it: &Value, key: &str| it[key].as_str().unwrap().to_owned();
    failed
        .map(|it| (text(it, "id"), text(it, "words")))
        .collect()
}
