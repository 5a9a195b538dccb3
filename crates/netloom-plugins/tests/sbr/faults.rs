//! A fault at every system call of ADD and DEL.

use crate::lab::{chained, lab_with, plugin_dir};
use netloom_testkit::{Scene, assert_del_completes, assert_no_residue};
use serde_json::{Value, json};

fn scene(keys: Value) -> impl Fn() -> Option<Scene> + Sync {
    let plugins = plugin_dir();
    move || {
        let lab = lab_with(plugins.clone())?;
        let request = chained("net1", keys.clone());
        let add = lab.call(&lab.sbr, "ADD", "net1", &request);
        let del = lab.call(&lab.sbr, "DEL", "net1", &request);
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
    let Some(tally) = assert_no_residue("sbr", None, scene(json!({}))) else {
        return;
    };
    assert!(tally.has_points(21, 6), "{tally}");
}

#[test]
fn no_fault_in_add_with_source_hints_leaves_anything() {
    let keys = json!({"addSourceHints": true});
    let Some(tally) = assert_no_residue("sbr, source hints", None, scene(keys)) else {
        return;
    };
    assert!(tally.has_points(21, 6), "{tally}");
}

#[test]
fn no_fault_in_add_with_a_given_table_leaves_anything() {
    let scene = scene(json!({"table": 51}));
    let Some(tally) = assert_no_residue("sbr, given table", None, scene) else {
        return;
    };
    assert!(tally.has_points(16, 3), "{tally}");
}

#[test]
fn the_next_del_completes_one_that_failed_or_died() {
    let Some(tally) = assert_del_completes("sbr", scene(json!({}))) else {
        return;
    };
    assert!(tally.has_points(16, 3), "{tally}");
}
