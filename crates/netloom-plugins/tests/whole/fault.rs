//! ADD with a fault at every system call: nothing is left.

use netloom_testkit::{Host, Plugin, PluginDir, Scene, probe, skip};
use netloom_testkit::{assert_del_completes, assert_no_residue};
use serde_json::json;

use crate::PROGRAM;

/// A pod about to be added by bridge and host-local, with everything that they can make.
fn scene(plugins: &PluginDir, backend: &str) -> Option<Scene> {
    let host = Host::new()?;
    let pod = host.pod("one");
    let conf = json!({
        "cniVersion": "1.1.0", "name": "net", "type": "bridge", "bridge": "br0",
        "isDefaultGateway": true, "ipMasq": true, "ipMasqBackend": backend, "hairpinMode": true,
        "macspoofchk": true,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]],
            "routes": [{"dst": "192.0.2.0/24"}]
        }
    });
    let bridge = Plugin::ours(plugins, "bridge");
    let call = |command| bridge.call(command, &conf).pod(&pod);
    let (add, del) = (call("ADD"), call("DEL"));
    Some(Scene {
        pods: vec![pod],
        host,
        add,
        del,
        bridges: vec!["br0".into()],
    })
}

/// The same beside a pod that is there already.
fn beside_another(plugins: &PluginDir, backend: &str) -> Option<Scene> {
    let mut scene = scene(plugins, backend)?;
    let other = scene.host.pod("other");
    scene.add.clone().pod(&other).run().succeeds();
    scene.pods.push(other);
    Some(scene)
}

#[test]
fn with_nftables_no_fault_leaves_anything() {
    let plugins = PluginDir::of(PROGRAM);
    let first = || scene(&plugins, "nftables");
    let Some(tally) = assert_no_residue("first pod, nftables", None, first) else {
        return;
    };
    assert!(tally.has_points(61, 41), "{tally}");
    assert!(tally.missed * 10 < tally.failed + tally.killed, "{tally}");
    let second = || beside_another(&plugins, "nftables");
    assert_no_residue("second pod, nftables", None, second);
}

#[test]
fn with_iptables_no_fault_leaves_anything() {
    if !probe::has_program("iptables-restore") {
        return skip("no iptables-restore");
    }
    let plugins = PluginDir::of(PROGRAM);
    let first = || scene(&plugins, "iptables");
    let Some(tally) = assert_no_residue("first pod, iptables", None, first) else {
        return;
    };
    assert!(tally.has_points(61, 41), "{tally}");
    let second = || beside_another(&plugins, "iptables");
    assert_no_residue("second pod, iptables", None, second);
}

#[test]
fn no_fault_of_iptables_restore_leaves_anything() {
    let plugins = PluginDir::of(PROGRAM);
    let first = || scene(&plugins, "iptables");
    let within = assert_no_residue("within iptables-restore", Some("iptables-restore"), first);
    let Some(tally) = within else { return };
    assert!(tally.has_points(11, 6), "{tally}");
}

#[test]
fn a_del_with_a_fault_is_completed_by_the_next() {
    let plugins = PluginDir::of(PROGRAM);
    for backend in ["nftables", "iptables"] {
        let name = format!("DEL, {backend}");
        let scene = || scene(&plugins, backend);
        let Some(tally) = assert_del_completes(&name, scene) else {
            return;
        };
        assert!(tally.has_points(41, 21), "{tally}");
    }
}
