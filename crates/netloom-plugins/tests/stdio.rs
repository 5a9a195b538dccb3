//! What a plugin does whose standard output is closed.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::io::Write;
use std::process::{Command, Stdio};

/// Exit status and stderr of `host-local` ADD with what the shell does to its descriptors.
fn add(redirection: &str, data: &std::path::Path) -> (Option<i32>, String) {
    let script = format!("exec \"$0\" host-local {redirection}");
    let mut child = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_netloom-plugins")])
        .envs([("CNI_COMMAND", "ADD"), ("CNI_CONTAINERID", "a")])
        .envs([("CNI_IFNAME", "eth0"), ("CNI_NETNS", "/nowhere")])
        .env("CNI_PATH", "/nowhere")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let conf = format!(
        r#"{{"cniVersion":"1.1.0","name":"n","type":"host-local","ipam":{{"type":"host-local","dataDir":{data:?},"subnet":"10.1.0.0/24"}}}}"#
    );
    // A plugin that refuses at once reads none of it.
    let _ = child.stdin.take().unwrap().write_all(conf.as_bytes());
    let output = child.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn add_with_a_closed_stdout_fails_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    for (index, others) in ["", "<&-", "2>&-", "<&- 2>&-"].into_iter().enumerate() {
        let data = folder.path().join(index.to_string());
        let (code, said) = add(&format!(">&- {others}"), &data);
        assert_eq!(code, Some(1), "{others}: {said}");
        assert!(!data.exists(), "{others}: something was made");
        if !others.contains("2>") {
            assert!(said.contains("stdout is closed"), "{others}: {said}");
        }
    }
}

#[test]
fn add_whose_stdout_is_dev_null_by_choice_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    for redirection in [">/dev/null", "1<>/dev/null"] {
        let data = folder.path().join(redirection.len().to_string());
        assert_eq!(add(redirection, &data).0, Some(0), "{redirection}");
        assert!(data.join("n/10.1.0.2").exists(), "{redirection}");
    }
}
