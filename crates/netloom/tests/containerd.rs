//! Debian's containerd runs a container on a network that netloom's plugins made.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod engine;

use engine::installable;
use netloom_testkit::PluginDir;
use std::path::Path;

#[test]
fn containerd_goes_on_while_other_plugins_are_written_over() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let netloom = installable(folder.path());
    let (tried, left, _) = engine::run("containerd/overwrite.sh", &[&netloom]);
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
    assert_eq!(left, "0", "files, veths or rules were left:\n{left}");
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
    let text = engine::traced(runs_a_container);
    assert!(text.contains("\"plugin\":\"bridge\""), "{text}");
}

fn runs_a_container(plugins: &Path) {
    let (inside, left, _) = engine::run("containerd/run.sh", &[plugins]);
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
    assert_eq!(left, "0", "files, veths or rules were left:\n{left}");
}

fn can_run() -> bool {
    engine::can_run(&["containerd", "ctr", "runc", "busybox", "nft"])
}
