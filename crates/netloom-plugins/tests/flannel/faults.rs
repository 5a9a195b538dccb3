//! A fault at every system call of ADD and DEL.

use crate::lab::{ENV, V4, conf, lab_with, plugin_dir};
use netloom_testkit::{Scene, assert_del_completes, assert_no_residue};
use serde_json::{Value, json};

/// With a delegate that starts no threads, which would each meet the fault again, and an IPAM
/// plugin that keeps no books: their own points are tried elsewhere.
fn small() -> Value {
    let addresses = json!([{"address": "10.244.3.5/24", "gateway": "10.244.3.1"}]);
    json!({
        "delegate": {"type": "macvlan", "master": "up0"},
        "ipam": {"type": "static", "addresses": addresses}
    })
}

fn scene(keys: Value) -> impl Fn() -> Option<Scene> + Sync {
    let plugins = plugin_dir();
    move || {
        let lab = lab_with(plugins.clone())?;
        std::fs::write(ENV, V4).unwrap();
        lab.host.ip("link add up0 type veth peer name far");
        lab.host.sh("ip link set far up; ip link set up0 up");
        let pod = lab.host.pod("one");
        let conf = conf(keys.clone());
        Some(Scene {
            add: lab.call("ADD", &pod, "eth0", &conf),
            del: lab.call("DEL", &pod, "eth0", &conf),
            pods: vec![pod],
            host: lab.host,
            bridges: Vec::new(),
        })
    }
}

#[test]
fn no_fault_in_add_leaves_anything() {
    let Some(tally) = assert_no_residue("flannel", None, scene(small())) else {
        return;
    };
    assert!(tally.has_points(51, 21), "{tally}");
}

#[test]
fn the_next_del_completes_one_that_failed_or_died() {
    let Some(tally) = assert_del_completes("flannel", scene(small())) else {
        return;
    };
    assert!(tally.has_points(26, 7), "{tally}");
}
