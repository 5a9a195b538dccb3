//! A fault at every system call of ADD and DEL.

use crate::lab::{chained, give, plugin_dir, prepared_pod, set_up};
use netloom_testkit::{Host, Plugin, Scene, assert_del_completes, assert_no_residue};
use serde_json::json;

/// A pod on a host and no more: a guest takes its time for each snapshot of a namespace.
fn scene(keep: bool) -> impl Fn() -> Option<Scene> + Sync {
    let plugins = plugin_dir();
    move || {
        let host = Host::new()?;
        let pod = prepared_pod(&host)?;
        host.ip("link add eth0 netns one type veth peer name far");
        host.ip("link set far up");
        set_up(&pod, "eth0", keep);
        give(&pod, "eth0");
        let vrf = Plugin::ours(&plugins, "vrf");
        let request = chained("eth0", json!({}));
        Some(Scene {
            add: vrf.call("ADD", &request).pod(&pod),
            del: vrf.call("DEL", &request).pod(&pod),
            pods: vec![pod],
            host,
            bridges: Vec::new(),
        })
    }
}

#[test]
fn no_fault_in_add_leaves_anything() {
    let Some(tally) = assert_no_residue("vrf", None, scene(true)) else {
        return;
    };
    assert!(tally.has_points(21, 6), "{tally}");
}

#[test]
fn no_fault_in_add_leaves_anything_where_addresses_are_not_kept_by_the_kernel() {
    let Some(tally) = assert_no_residue("vrf, addresses not kept", None, scene(false)) else {
        return;
    };
    assert!(tally.has_points(21, 6), "{tally}");
}

#[test]
fn the_next_del_completes_one_that_failed_or_died() {
    let Some(tally) = assert_del_completes("vrf", scene(true)) else {
        return;
    };
    assert!(tally.has_points(16, 3), "{tally}");
}
