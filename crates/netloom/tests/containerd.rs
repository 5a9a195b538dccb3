//! Debian's containerd runs a container on a network that netloom's plugins made.

use std::process::Command;

use netloom_testkit::probe::has_program;
use netloom_testkit::{PluginDir, skip};

#[test]
fn containerd_runs_a_container_through_our_plugins_and_leaves_nothing() {
    if !rustix::process::geteuid().is_root() {
        return skip("containerd needs root");
    }
    for program in ["containerd", "ctr", "runc", "busybox", "nft"] {
        if !has_program(program) {
            return skip(&format!("{program} is not installed"));
        }
    }
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom"));
    let work = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/containerd/run.sh");
    let output = Command::new("unshare")
        .args([
            "-m",
            "-n",
            "-i",
            "-u",
            "-p",
            "-f",
            "--kill-child",
            "--mount-proc",
        ])
        .args(["timeout", "100", "bash", script])
        .arg(plugins.path())
        .arg(work.path())
        .output()
        .unwrap();
    let seen = String::from_utf8_lossy(&output.stdout);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{seen}\n{words}");

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
