//! Debian's podman, with its CNI backend, on networks that netloom's plugins make: published ports,
//! static addresses, two networks, reload, restart; and nothing is left.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod engine;

use engine::installable;
use netloom_testkit::{DEBIAN_DIR, PluginDir, product, skip};
use std::path::Path;

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
    // That of the network that was there first, which the other one's stands behind.
    ("way out after connect", &["10.90.0.1 10.91.0.1"]),
    ("after restart", &["web"]),
];

/// The same for a node that changes sides while containers run.
const HANDED_OVER: &[(&str, &[&str])] = &[
    ("libcni's attachments are listed", &["[3]"]),
    ("libcni's attachment is checked", &["(ok)"]),
    ("libcni's attachment has rules", &["[4]"]),
    ("libcni's attachment is deleted", &["(ok)"]),
    ("its rules are gone", &["[0]"]),
    ("its cache is gone", &["[0]"]),
    ("the other keeps its port", &["keeps"]),
    ("libcni's dead attachment is collected", &["(ok)"]),
    ("nothing is left of the dead", &["[0 0]"]),
    ("the living keeps its port", &["keeps"]),
    ("libcni's attachment is still whole", &["(ok)"]),
    ("netloom's attachment is listed", &["[1]"]),
    ("netloom's attachment serves", &["back"]),
    ("libcni deletes what netloom cached", &["[0 0]"]),
    ("the first keeps its port", &["keeps"]),
    ("what Go's DEL left is collected", &["(ok)"]),
];

/// The same while names among the installed plugins are written over: which changed, and who serves.
const WRITTEN_OVER: &[(&str, &[&str])] = &[
    ("cp -f", &["[flannel] new keeps"]),
    ("cat", &["[dummy] new keeps"]),
    ("download", &["[vlan] new keeps"]),
    ("install", &["[macvlan] new keeps"]),
    ("tar", &["[ipvlan] new keeps"]),
    ("rename", &["[tap] new keeps"]),
    ("with another bridge", &["keeps refused"]),
    ("mended", &["new keeps"]),
];

/// Links of chosen containers.
const LINKED: &[(&str, &[&str])] = &[
    ("from one to two", &["two"]),
    ("from the host", &["one"]),
    ("listed", &["4"]),
    (
        "a container that is none",
        &["podman has no container three"],
    ),
    ("a node of a topology", &["one"]),
    ("after its restart", &["one"]),
    (
        "one that does not run",
        &["container two of podman does not run"],
    ),
];

#[test]
fn containers_of_podman_are_linked_by_name() {
    if !can_run() {
        return;
    }
    let netloom = product(env!("CARGO_BIN_EXE_netloom"));
    run("links.sh", &[&netloom], LINKED);
}

/// The same for containers that netloom attaches to networks.
const DOCKER_RUN: &[(&str, &[&str])] = &[
    (
        "the script's command",
        &["eth0    inet 10.22.0.", "lo    inet 127.0.0.1"],
    ),
    ("its status", &["7"]),
    ("a published port", &["page"]),
    (
        "a killed shim",
        &["its shim was killed; its networks are deleted now"],
    ),
    ("containers after it", &["[]"]),
    ("left of it", &["[]"]),
    ("an image of podman's", &["eth0    inet 10.22.0."]),
    (
        "by runc",
        &[
            "eth0    inet 10.22.0.",
            "\tme",
            "NoNewPrivs:\t1",
            "CapBnd:\t00000000a00425fb",
        ],
    ),
    ("its status by runc", &["7"]),
    ("left by runc", &["[ ]"]),
];

#[test]
fn podman_runs_containers_through_our_plugins_and_leaves_nothing() {
    if !can_run() {
        return;
    }
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom"));
    run("run.sh", &[plugins.path()], EXPECTED);
}

#[test]
fn podman_runs_the_same_containers_through_the_wrappers_of_trace() {
    if !can_run() {
        return;
    }
    let text = engine::traced(|wrapped| run("run.sh", &[wrapped], EXPECTED));
    for plugin in ["bridge", "host-local", "portmap", "firewall", "tuning"] {
        let part = format!("\"plugin\":\"{plugin}\"");
        assert!(text.contains(&part), "{plugin} was not traced");
    }
}

#[test]
fn podman_s_cache_goes_from_go_to_netloom_and_back() {
    if !can_run() {
        return;
    }
    let go = Path::new(DEBIAN_DIR);
    if !go.join("firewall").is_file() {
        return skip("Go's plugins are not installed (containernetworking-plugins)");
    }
    let netloom = product(env!("CARGO_BIN_EXE_netloom"));
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom"));
    run("handover.sh", &[plugins.path(), go, &netloom], HANDED_OVER);
}

#[test]
fn podman_goes_on_while_other_plugins_are_written_over() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let netloom = installable(folder.path());
    run("overwrite.sh", &[&netloom], WRITTEN_OVER);
}

#[test]
fn docker_run_attaches_podman_s_containers_and_ends_them_whoever_dies() {
    if !can_run() {
        return;
    }
    let netloom = product(env!("CARGO_BIN_EXE_netloom"));
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom"));
    run("docker_run.sh", &[plugins.path(), &netloom], DOCKER_RUN);
}

fn can_run() -> bool {
    engine::can_run(&["podman", "runc", "busybox", "nft", "iptables-save", "perl"])
}

/// Runs a script in a throw-away host: what it tried must have come out so, and nothing be left.
fn run(script: &str, arguments: &[&Path], expected: &[(&str, &[&str])]) {
    let (tried, left, words) = engine::run(&format!("podman/{script}"), arguments);
    for (what, parts) in expected {
        let prefix = format!("{what}: ");
        let came = tried.lines().find_map(|line| line.strip_prefix(&prefix));
        let came = came.unwrap_or_else(|| panic!("{what} was not tried:\n{tried}\n{words}"));
        for part in *parts {
            assert!(came.contains(part), "{what}: {came:?}\n{words}");
        }
    }
    assert_eq!(left, "", "files, veths or rules were left");
}
