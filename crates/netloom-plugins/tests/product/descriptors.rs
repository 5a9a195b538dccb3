//! Standard input, output and error that are closed when a plugin is executed, or full.

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use netloom_testkit::{CLOSED, product};

use crate::PROGRAM;

/// How a command of `host-local` ends, its stdout and stderr.
fn call(command: &str, redirection: &str, data: &Path) -> (ExitStatus, String, String) {
    let script = format!("exec \"$0\" host-local {redirection}");
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .arg(product(PROGRAM))
        .envs([("CNI_COMMAND", command), ("CNI_CONTAINERID", "a")])
        .envs([("CNI_IFNAME", "eth0"), ("CNI_NETNS", "/nowhere")])
        .envs([("CNI_PATH", "/nowhere"), ("RUST_BACKTRACE", "full")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let conf = format!(
        r#"{{"cniVersion":"1.1.0","name":"n","type":"host-local","ipam":{{"type":"host-local","dataDir":{data:?},"subnet":"10.1.0.0/24"}},
        "prevResult":{{"cniVersion":"1.1.0","ips":[{{"address":"10.1.0.2/24"}}]}}}}"#
    );
    // A plugin that refuses at once reads none of it.
    let _ = child.stdin.take().unwrap().write_all(conf.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (output.status, text(&output.stdout), text(&output.stderr))
}

/// Whether the address that ADD gives first is taken.
fn is_reserved(data: &Path) -> bool {
    data.join("n/10.1.0.2").exists()
}

#[test]
fn whatever_is_closed_a_command_ends_with_0_or_1_and_does_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (index, closed) in CLOSED.into_iter().enumerate() {
        let data = folder.path().join(index.to_string());
        let no_input = closed.contains('<');
        let no_output = closed.starts_with('>') || closed.contains(" >");
        let ends = |command: &str, code: i32| {
            let (status, _, said) = call(command, closed, &data);
            assert_eq!(status.code(), Some(code), "{command} {closed}: {said}");
        };
        ends("VERSION", 0);
        ends("ADD", i32::from(no_input || no_output));
        if no_input || no_output {
            assert!(!data.exists(), "{closed}: something was made");
            assert_eq!(call("ADD", "", &data).0.code(), Some(0));
        }
        assert!(is_reserved(&data), "{closed}");
        ends("CHECK", i32::from(no_input));
        ends("DEL", i32::from(no_input));
        assert_eq!(is_reserved(&data), no_input, "{closed}");
    }
}

#[test]
fn add_with_a_closed_stdout_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for closed in [">&-", "<&- >&-"] {
        let (_, _, said) = call("ADD", closed, folder.path());
        assert!(said.contains("stdout is closed"), "{closed}: {said}");
    }
}

#[test]
fn add_whose_stdout_is_dev_null_by_choice_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    for redirection in [">/dev/null", "1<>/dev/null"] {
        let data = folder.path().join(redirection.len().to_string());
        let (status, ..) = call("ADD", redirection, &data);
        assert_eq!(status.code(), Some(0), "{redirection}");
        assert!(is_reserved(&data), "{redirection}");
    }
}

#[test]
fn a_full_stdout_is_an_error_that_stderr_tells_and_add_is_undone() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["ADD", "VERSION", "FROBNICATE"] {
        let (status, _, said) = call(command, ">/dev/full", folder.path());
        assert_eq!(status.code(), Some(1), "{command}: {said}");
        assert!(!said.contains("panicked"), "{command}: {said}");
        assert!(said.contains("\"code\""), "{command}: {said}");
    }
    assert!(
        !is_reserved(folder.path()),
        "the address was not given back"
    );
}

#[test]
fn a_full_stderr_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (command, code) in [
        ("VERSION", 0),
        ("ADD", 0),
        ("CHECK", 0),
        ("FROBNICATE", 1),
        ("DEL", 0),
    ] {
        let (status, printed, _) = call(command, "2>/dev/full", folder.path());
        assert_eq!(status.code(), Some(code), "{command}");
        let silent = matches!(command, "CHECK" | "DEL");
        assert_eq!(printed.is_empty(), silent, "{command}: {printed}");
    }
    for redirection in [">/dev/full 2>/dev/full", ">/dev/full 2>&-"] {
        let (status, ..) = call("ADD", redirection, folder.path());
        assert_eq!(status.code(), Some(1), "{redirection}");
        assert!(!is_reserved(folder.path()), "{redirection}");
    }
}
