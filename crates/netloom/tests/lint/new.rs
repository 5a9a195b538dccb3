//! `netloom new`: what it makes is right, and what fails leaves nothing.

use std::fs;
use std::path::Path;

use netloom_testkit::{Call, skip};

use crate::{NETLOOM, findings};

fn new(name: &str, kind: &str, dir: &Path) -> Call {
    Call::new(NETLOOM)
        .arg("new")
        .arg(name)
        .arg("--kind")
        .arg(kind)
        .arg("--dir")
        .arg(dir)
}

#[test]
fn every_kind_has_a_configuration_that_is_right() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["interface", "chained", "ipam", "meta", "shell", "python"] {
        let dir = folder.path().join(kind);
        let outcome = new("hello-world", kind, &dir).run();
        assert!(outcome.is_success(), "{outcome}");
        let conf = dir.join("conf/10-hello-world.conflist");
        assert_eq!(findings(&conf), [] as [serde_json::Value; 0], "{kind}");
        for file in [
            "README.md",
            "test.sh",
            ".ci/run",
            "conf/10-hello-world.conflist",
            "deploy/Containerfile",
            "deploy/daemonset.yaml",
            "deploy/inventory.ini",
            "deploy/sync-and-build.yml",
            "deploy/docker-run.yml",
        ] {
            let text = fs::read_to_string(dir.join(file)).unwrap();
            let is_filled = !text.contains("my-plugin") && !text.contains('@');
            assert!(is_filled, "{kind}: {file}:\n{text}");
        }
        assert_eq!(
            dir.join("Cargo.toml").exists(),
            !matches!(kind, "shell" | "python")
        );
    }
}

#[test]
fn the_plugins_in_shell_and_python_keep_the_protocol_as_they_come() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, program) in [("shell", "jq"), ("python", "python3")] {
        let is_there = std::process::Command::new(program)
            .arg("--version")
            .output()
            .is_ok();
        if !is_there {
            return skip(program);
        }
        let dir = folder.path().join(kind);
        assert!(new("hello", kind, &dir).run().is_success());
        let outcome = Call::new(dir.join("test.sh"))
            .env("PATH", std::env::var("PATH").unwrap())
            .run();
        assert_eq!(outcome.stdout, "ok\n", "{kind}: {outcome}");
        // What the plugin before it made comes out whole.
        let previous = r#"{"cniVersion":"1.0.0","ips":[{"address":"10.1.0.5/24"}],"x":1}"#;
        let request = format!(
            r#"{{"cniVersion":"1.0.0","name":"n","type":"hello","prevResult":{previous}}}"#
        );
        let add = Call::new(dir.join("hello"))
            .env("PATH", std::env::var("PATH").unwrap())
            .env("CNI_COMMAND", "ADD")
            .env("CNI_CONTAINERID", "one")
            .env("CNI_NETNS", "/run/netns/one")
            .env("CNI_IFNAME", "eth0")
            .stdin(request)
            .run();
        let previous: serde_json::Value = serde_json::from_str(previous).unwrap();
        assert_eq!(add.succeeds(), previous, "{kind}");
    }
}

#[test]
fn a_name_or_a_directory_that_is_taken_is_misuse_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken");
    fs::create_dir(&taken).unwrap();
    for (name, dir, words) in [
        ("hello", taken.clone(), "exists already"),
        ("bridge", folder.path().join("x"), "a plugin of this name"),
        (
            "Hello",
            folder.path().join("x"),
            "expected a lower case letter",
        ),
        (
            "a/b",
            folder.path().join("x"),
            "expected a lower case letter",
        ),
    ] {
        let outcome = new(name, "shell", &dir).run();
        assert_eq!(outcome.code(), Some(2), "{outcome}");
        assert!(outcome.stderr.contains(words), "{outcome}");
    }
    let outcome = new("hello", "shell", &folder.path().join("no/such/place")).run();
    assert!(
        outcome.is_success() || outcome.code() == Some(1),
        "{outcome}"
    );
    assert!(fs::read_dir(&taken).unwrap().next().is_none());
    assert!(!folder.path().join("x").exists());
}
