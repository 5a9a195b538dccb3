//! Debian's podman, with its CNI backend, on networks that netloom's plugins make: published ports,
//! static addresses, two networks, reload, restart; and nothing is left.

use std::process::Command;

use netloom_testkit::probe::has_program;
use netloom_testkit::{PluginDir, skip};

/// What was tried, and what must have come of it.
const EXPECTED: &[(&str, &[&str])] = &[
    ("static address", &["inet 10.90.0.77/24"]),
    ("static mac", &["02:00:00:00:77:01"]),
    ("both families", &["inet6 fd00:90::"]),
    ("from outside", &["web"]),
    ("from outside by IPv6", &["web"]),
    ("by the host's address", &["web"]),
    ("by 127.0.0.1", &["web"]),
    ("udp from outside", &["web"]),
    ("from itself", &["web"]),
    ("two networks", &["10.90.0.", "10.91.0."]),
    ("from another container", &["web"]),
    ("bound to 127.0.0.1", &["peer"]),
    ("bound to 127.0.0.1, from outside", &["nothing"]),
    ("to the outside", &["out"]),
    ("after reload", &["web"]),
    ("after connect", &["eth0", "eth1"]),
    ("after restart", &["web"]),
];

#[test]
fn podman_runs_containers_through_our_plugins_and_leaves_nothing() {
    if !rustix::process::geteuid().is_root() {
        return skip("podman's bridges need root");
    }
    for program in ["podman", "runc", "busybox", "nft", "iptables-save", "perl"] {
        if !has_program(program) {
            return skip(&format!("{program} is not installed"));
        }
    }
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom"));
    let work = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/podman/run.sh");
    let output = Command::new("unshare")
        .args(["-m", "-n", "-i", "-u", "-p", "-f"])
        .args(["--kill-child", "--mount-proc"])
        .args(["timeout", "300", "bash", script])
        .arg(plugins.path())
        .arg(work.path())
        .output()
        .unwrap();
    let seen = String::from_utf8_lossy(&output.stdout);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{seen}\n{words}");

    let (tried, left) = seen.split_once("--- left behind\n").expect(&seen);
    for (what, parts) in EXPECTED {
        let prefix = format!("{what}: ");
        let came = tried.lines().find_map(|line| line.strip_prefix(&prefix));
        let came = came.unwrap_or_else(|| panic!("{what} was not tried:\n{tried}\n{words}"));
        for part in *parts {
            assert!(came.contains(part), "{what}: {came:?}\n{words}");
        }
    }
    assert_eq!(left.trim(), "", "files, veths or rules were left");
}
