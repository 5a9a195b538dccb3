//! Debian's containerd runs a container on a network that netloom's plugins made.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

use std::path::Path;
use std::process::Command;

use netloom_testkit::probe::has_program;
use netloom_testkit::{PluginDir, is_release, product, skip};

#[test]
fn containerd_goes_on_while_other_plugins_are_written_over() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut netloom = product(env!("CARGO_BIN_EXE_netloom"));
    if !is_release() {
        // A build for tests, twenty copies of which are to be made; alone, so that it installs itself.
        let small = folder.path().join("netloom");
        let mut strip = Command::new("strip");
        strip.args(["-s", "-o"]).arg(&small).arg(&netloom);
        assert!(strip.status().unwrap().success());
        netloom = small;
    }
    let seen = run("overwrite.sh", &netloom);
    let (tried, left) = seen.split_once("--- left behind\n").expect(&seen);
    let expected = [
        "cp -f: [flannel] new keeps",
        "cat: [dummy] new keeps",
        "download: [vlan] new keeps",
        "install: [macvlan] new keeps",
        "tar: [ipvlan] new keeps",
        "rename: [tap] new keeps",
        "with another bridge: new is cut off keeps",
        "mended: new keeps",
    ];
    assert_eq!(tried.lines().collect::<Vec<_>>(), expected);
    assert_eq!(left.trim(), "0", "files, veths or rules were left:\n{left}");
}

#[test]
fn containerd_runs_a_container_through_our_plugins_and_leaves_nothing() {
    if !can_run() {
        return;
    }
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom"));
    runs_a_container(plugins.path());
}

#[test]
fn containerd_runs_the_same_container_through_the_wrappers_of_trace() {
    if !can_run() {
        return;
    }
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom"));
    let folder = tempfile::tempdir().unwrap();
    let (wrapped, log) = (folder.path().join("bin"), folder.path().join("trace.jsonl"));
    let mut install = Command::new(product(env!("CARGO_BIN_EXE_netloom")));
    install.args(["trace", "install"]).arg(&wrapped);
    install.arg("--from").arg(plugins.path());
    install.arg("--log").arg(&log);
    assert!(install.status().unwrap().success());
    runs_a_container(&wrapped);
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("\"plugin\":\"bridge\""), "{text}");
}

fn runs_a_container(plugins: &Path) {
    let seen = run("run.sh", plugins);
    let (inside, left) = seen.split_once("--- left behind\n").expect(&seen);
    for expected in [
        "inet 10.88.0.2/16",
        "inet6 fd00:88::2/64",
        "default via 10.88.0.1 dev eth0",
        "1 packets transmitted, 1 packets received",
    ] {
        assert!(inside.contains(expected), "no {expected:?} in:\n{inside}");
    }
    assert_eq!(
        inside.matches("1 packets received").count(),
        2,
        "IPv4 and IPv6:\n{inside}"
    );
    assert_eq!(left.trim(), "0", "files, veths or rules were left:\n{left}");
}

fn can_run() -> bool {
    if !rustix::process::geteuid().is_root() {
        skip("containerd needs root");
        return false;
    }
    for program in ["containerd", "ctr", "runc", "busybox", "nft"] {
        if !has_program(program) {
            skip(&format!("{program} is not installed"));
            return false;
        }
    }
    true
}

/// Runs a script in a throw-away host; what it printed.
fn run(script: &str, argument: &Path) -> String {
    let work = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/containerd")
        .join(script);
    let output = Command::new("unshare")
        .args(["-m", "-n", "-i", "-u", "-p", "-f"])
        .args(["--kill-child", "--mount-proc"])
        .args(["timeout", "300", "bash"])
        .arg(script)
        .arg(argument)
        .arg(work.path())
        .output()
        .unwrap();
    let seen = String::from_utf8_lossy(&output.stdout);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{seen}\n{words}");
    // For whoever sees the test fail.
    eprintln!("{words}");
    seen.into_owned()
}
