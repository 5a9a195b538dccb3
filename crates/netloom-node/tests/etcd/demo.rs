//! `netloom node …` and `netloom demo --cluster`, which execute the daemon's program.

use std::process::Command;

use crate::lab::{Etcd, Lab, beside};

#[test]
fn the_clusters_demo_is_green() {
    if Lab::new().is_none() {
        return;
    }
    let output = Command::new(beside("netloom"))
        .args(["demo", "--cluster", "--plain"])
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}{said}");
    for part in [
        "h3 joins",
        "by the tunnel",
        "you are 198.51.100.3",
        "had its network without the store",
        "The demo is green",
    ] {
        assert!(shown.contains(part), "no {part:?} in {shown}");
    }
}

#[test]
fn the_command_executes_the_daemon_and_init_writes_a_network_once() {
    let Some(_lab) = Lab::new() else { return };
    let mut etcd = Etcd::member(1, 1);
    etcd.begin();
    let init = |network: &str| {
        Command::new(beside("netloom"))
            .args([
                "node",
                "init",
                "--etcd",
                "http://127.0.0.1:2389",
                "--network",
                network,
            ])
            .output()
            .unwrap()
    };
    let both = "10.5.0.0/16,fd00:5::/48";
    let first = init(both);
    assert!(
        first.status.success(),
        "{}",
        String::from_utf8_lossy(&first.stderr)
    );
    let config = etcd.ctl(&["get", "--print-value-only", "/coreos.com/network/config"]);
    let config = netloom_cluster::flannel::NetworkConfig::parse(config.as_bytes()).unwrap();
    assert!(config.v4.is_some() && config.v6.is_some());
    let again = init(both);
    assert!(String::from_utf8_lossy(&again.stdout).contains("nothing to do"));
    let other = init("10.6.0.0/16");
    assert!(!other.status.success());
    assert!(String::from_utf8_lossy(&other.stderr).contains("it is left as it is"));
    let wrong = init("10.6.0.0/31");
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("too small"));
}
