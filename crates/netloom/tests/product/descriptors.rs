//! Standard input, output and error that are closed when the command is executed, or full.

use std::path::Path;
use std::process::{Command, ExitStatus};

use netloom_testkit::{CLOSED, product};
use tempfile::TempDir;

use crate::NETLOOM;

/// Verbs that have something to print, and how each ends when it can.
const PRINTING: [(&[&str], i32); 7] = [
    (&["list"], 0),
    (&["list", "--json"], 0),
    (&["version"], 0),
    (&["validate"], 1),
    (&["--help"], 0),
    (&["--version"], 0),
    (&["completion", "bash"], 0),
];

/// How the command ends, with what the shell does to its descriptors, and what it said.
fn run(arguments: &[&str], redirection: &str, folder: &Path) -> (ExitStatus, String) {
    let script = format!("exec \"$0\" \"$@\" {redirection}");
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(product(NETLOOM))
        .args(arguments)
        .arg("--cache-dir")
        .arg(folder)
        .env("NETCONFPATH", folder)
        .env("CNI_PATH", folder)
        .env("RUST_BACKTRACE", "full")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status, said)
}

/// A folder of configurations, one of which is none.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("1.conf"), "{").unwrap();
    folder
}

#[test]
fn whatever_is_closed_the_command_ends_as_it_does_otherwise() {
    let folder = folder();
    let failing: [(&[&str], i32); 3] = [
        (&["add", "nope", "/no/such/netns"], 1),
        (&["del", "nope", "/no/such/netns"], 1),
        (&["nonsense"], 2),
    ];
    for closed in CLOSED {
        for (arguments, code) in PRINTING.iter().chain(&failing) {
            let (status, said) = run(arguments, closed, folder.path());
            assert_eq!(status.code(), Some(*code), "{arguments:?} {closed}: {said}");
        }
    }
}

#[test]
fn a_full_stdout_is_a_failure_of_one_line() {
    let folder = folder();
    for (arguments, _) in PRINTING {
        let (status, said) = run(arguments, ">/dev/full", folder.path());
        assert_eq!(status.code(), Some(1), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
        let words = "cannot write to stdout: No space left on device";
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn a_full_stderr_changes_no_exit_status() {
    let folder = folder();
    let both = ">/dev/full 2>/dev/full";
    for (arguments, code) in PRINTING {
        let (status, _) = run(arguments, "2>/dev/full", folder.path());
        assert_eq!(status.code(), Some(code), "{arguments:?}");
        let (status, _) = run(arguments, both, folder.path());
        assert_eq!(status.code(), Some(1), "{arguments:?} {both}");
    }
    let (status, _) = run(&["add", "nope", "/n"], "2>/dev/full", folder.path());
    assert_eq!(status.code(), Some(1));
    let (status, _) = run(&["nonsense"], "2>/dev/full", folder.path());
    assert_eq!(status.code(), Some(2));
}
