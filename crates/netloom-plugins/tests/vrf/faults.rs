//! A fault at every system call of ADD and DEL.

use crate::lab::{chained, lab_with, plugin_dir};
use netloom_testkit::{Scene, assert_del_completes, assert_no_residue};
use serde_json::json;

fn scene(keep: bool) -> impl Fn() -> Option<Scene> + Sync {
    let plugins = plugin_dir();
    move || {
        let lab = lab_with(plugins.clone(), keep)?;
        let request = chained("eth0", json!({}));
        let add = lab.call(&lab.vrf, "ADD", "eth0", &request);
        let del = lab.call(&lab.vrf, "DEL", "eth0", &request);
        let [north, south] = lab.routers;
        Some(Scene {
            pods: vec![lab.pod, north, south],
            host: lab.host,
            add,
            del,
            bridges: Vec::new(),
        })
    }
}

#[test]
fn no_fault_in_add_leaves_anything() {
    let Some(tally) = assert_no_residue("vrf", None, scene(true)) else {
        return;
    };
    assert!(tally.failed > 20 && tally.killed > 5, "{tally}");
}

#[test]
fn no_fault_in_add_leaves_anything_where_addresses_are_not_kept_by_the_kernel() {
    let Some(tally) = assert_no_residue("vrf, addresses not kept", None, scene(false)) else {
        return;
    };
    assert!(tally.failed > 20 && tally.killed > 5, "{tally}");
}

#[test]
fn the_next_del_completes_one_that_failed_or_died() {
    let Some(tally) = assert_del_completes("vrf", scene(true)) else {
        return;
    };
    assert!(tally.failed > 15 && tally.killed > 2, "{tally}");
}
