//! ADD and DEL with a fault at every system call.

use crate::support::{Lab, conf, plugin_dir, result};
use netloom_testkit::{PluginDir, Pod, Scene, assert_del_completes, assert_no_residue};
use serde_json::json;
use std::sync::Arc;

fn scene(
    backend: &'static str,
    plugins: &Arc<PluginDir>,
    prepare: fn(&Lab) -> Vec<Pod>,
) -> Option<Scene> {
    let lab = Lab::with_plugins(backend, Arc::clone(plugins))?;
    let pod = lab.host.pod("one");
    let mut pods = vec![pod];
    pods.extend(prepare(&lab));
    let conf = conf(backend, &result(5), json!({"ingressPolicy": "isolated"}));
    Some(Scene {
        add: lab.firewall.call("ADD", &conf).pod(&pods[0]),
        del: lab.firewall.call("DEL", &conf).pod(&pods[0]),
        pods,
        bridges: Vec::new(),
        host: lab.host,
    })
}

fn beside_another(lab: &Lab) -> Vec<Pod> {
    let other = lab.host.pod("two");
    lab.firewall
        .add(&conf("nftables", &result(9), json!({})), &other)
        .succeeds();
    lab.firewall
        .add(&conf("iptables", &result(9), json!({})), &other)
        .succeeds();
    vec![other]
}

#[test]
fn an_add_on_nftables_that_fails_anywhere_leaves_nothing() {
    let plugins = plugin_dir();
    let first = || scene("nftables", &plugins, |_| Vec::new());
    if let Some(tally) = assert_no_residue("firewall, nftables, first pod", None, first) {
        assert!(tally.has_points(11, 5), "too few points: {tally}");
    }
    let later = || scene("nftables", &plugins, beside_another);
    if let Some(tally) = assert_no_residue("firewall, nftables, later pod", None, later) {
        assert!(tally.has_points(11, 5), "too few points: {tally}");
    }
}

#[test]
fn an_add_on_iptables_that_fails_anywhere_leaves_nothing() {
    let plugins = plugin_dir();
    let later = || scene("iptables", &plugins, beside_another);
    if let Some(tally) = assert_no_residue("firewall, iptables", None, later) {
        assert!(tally.has_points(11, 5), "too few points: {tally}");
    }
    let inside = || scene("iptables", &plugins, beside_another);
    if let Some(tally) = assert_no_residue(
        "firewall, within iptables-restore",
        Some("iptables-restore"),
        inside,
    ) {
        assert!(tally.has_points(11, 5), "too few points: {tally}");
    }
}

#[test]
fn a_del_that_fails_anywhere_is_completed_by_the_next() {
    let plugins = plugin_dir();
    for backend in ["nftables", "iptables"] {
        let scene = || scene(backend, &plugins, beside_another);
        if let Some(tally) = assert_del_completes("firewall", scene) {
            assert!(tally.has_points(11, 5), "too few points: {tally}");
        }
    }
}
