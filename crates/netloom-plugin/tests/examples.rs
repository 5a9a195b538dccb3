//! The examples are working plugins: called as a runtime calls them, as processes with an
//! environment, a stdin and a stdout.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use netloom_plugin::Error;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A compiled example, beside this test program's directory. `cargo test` builds examples, except
/// when it is asked for this test program alone.
fn example(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let built = own.parent().unwrap().with_file_name("examples").join(name);
    if !built.exists() {
        let cargo = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "-p",
                "netloom-plugin",
                "--example",
                "publish",
            ])
            .status()
            .unwrap();
        assert!(cargo.success());
    }
    built
}

fn call(plugin: &str, command: &str, conf: &Value) -> Output {
    let mut child = Command::new(example(plugin))
        .env("CNI_COMMAND", command)
        .env("CNI_CONTAINERID", "c1")
        .env("CNI_NETNS", "/no/such/netns")
        .env("CNI_IFNAME", "eth0")
        .env("CNI_PATH", "/no/such/dir")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(conf.to_string().as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

fn conf(dir: &Path) -> Value {
    json!({
        "cniVersion": "1.0.0", "name": "blue", "type": "publish", "dir": dir,
        "prevResult": {"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.5/16"}]},
    })
}

#[test]
fn the_example_of_thirty_lines_replaces_the_name_servers() {
    let code = include_str!("../examples/resolver.rs").lines();
    assert!(
        code.filter(|line| !line.is_empty() && !line.starts_with("//"))
            .count()
            <= 30
    );

    let dns = json!({"nameservers": ["9.9.9.9"], "search": ["pod.test"]});
    let mut conf = json!({
        "cniVersion": "1.0.0", "name": "blue", "type": "resolver", "dns": dns,
        "prevResult": {"cniVersion": "1.0.0", "dns": {"nameservers": ["10.0.0.1"]}},
    });
    let added = call("resolver", "ADD", &conf);
    let result: Value = serde_json::from_slice(&added.stdout).unwrap();
    assert_eq!(result, json!({"cniVersion": "1.0.0", "dns": dns}));

    assert_eq!(call("resolver", "CHECK", &conf).status.code(), Some(1));
    conf["prevResult"] = result;
    for command in ["CHECK", "DEL"] {
        let called = call("resolver", command, &conf);
        assert!(
            called.status.success() && called.stdout.is_empty(),
            "{called:?}"
        );
    }
}

#[test]
fn the_example_publishes_checks_and_removes() {
    let dir = tempfile::tempdir().unwrap();
    let (conf, file) = (conf(dir.path()), dir.path().join("c1-eth0"));

    let added = call("publish", "ADD", &conf);
    assert!(added.status.success(), "{added:?}");
    let result: Value = serde_json::from_slice(&added.stdout).unwrap();
    assert_eq!(result, conf["prevResult"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "10.1.0.5\n");

    let checked = call("publish", "CHECK", &conf);
    assert!(
        checked.status.success() && checked.stdout.is_empty(),
        "{checked:?}"
    );
    fs::write(&file, "10.9.9.9\n").unwrap();
    let checked = call("publish", "CHECK", &conf);
    let error = Error::parse(&checked.stdout).unwrap();
    assert!(
        error.msg.ends_with("c1-eth0 is not as published"),
        "{error}"
    );

    for _ in 0..2 {
        let deleted = call("publish", "DEL", &conf);
        assert!(
            deleted.status.success() && deleted.stdout.is_empty(),
            "{deleted:?}"
        );
        assert!(!file.exists());
    }
}

#[test]
fn the_example_refuses_to_be_the_first_of_a_chain() {
    let mut conf = conf(Path::new("/nonexistent"));
    conf["prevResult"] = Value::Null;
    let added = call("publish", "ADD", &conf);
    assert_eq!(added.status.code(), Some(1));
    let error = Error::parse(&added.stdout).unwrap();
    assert_eq!(
        (error.code, error.msg.as_str()),
        (7, "publish must be called as chained plugin")
    );
}

#[test]
fn version_does_not_wait_for_stdin() {
    let mut child = Command::new(example("publish"))
        .env_clear()
        .env("CNI_COMMAND", "VERSION")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let open = child.stdin.take();
    // With stdin read this would never end.
    let output = child.wait_with_output().unwrap();
    drop(open);
    assert!(
        output
            .stdout
            .starts_with(br#"{"cniVersion":"1.1.0","supportedVersions":["#)
    );
}

#[test]
fn a_stdout_that_nobody_reads_undoes_the_add() {
    let dir = tempfile::tempdir().unwrap();
    let (read, write) = std::io::pipe().unwrap();
    drop(read);
    let mut child = Command::new(example("publish"))
        .env("CNI_COMMAND", "ADD")
        .env("CNI_CONTAINERID", "c1")
        .env("CNI_NETNS", "/no/such/netns")
        .env("CNI_IFNAME", "eth0")
        .env("CNI_PATH", "/no/such/dir")
        .stdin(Stdio::piped())
        .stdout(write)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(conf(dir.path()).to_string().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(1),
        "killed by SIGPIPE, or took no notice: {output:?}"
    );
    assert_eq!(Error::parse(&output.stderr).unwrap().code, 5);
    assert!(!dir.path().join("c1-eth0").exists());
}
