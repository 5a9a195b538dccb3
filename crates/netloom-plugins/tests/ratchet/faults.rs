//! A fault at every system call of ADD and DEL, and a kill there.

use crate::lab::{conf, lab_with, link, pair, plugin_dir};
use netloom_testkit::{Faults, Scene, assert_del_completes, assert_no_residue};
use serde_json::{Value, json};

/// A pod that comes second. In its namespace, and in the other's, is what must survive all of it:
/// interfaces that look like the links, and under a name that a third link wants.
fn scene(keys: Value) -> impl Fn() -> Option<Scene> + Sync {
    let plugins = plugin_dir();
    move || {
        let lab = lab_with(&plugins)?;
        let (one, two) = (lab.host.pod("primary"), lab.host.pod("pair"));
        lab.host.ip("link add up0 type veth peer name far");
        lab.host.sh("ip link set far up; ip link set up0 up");
        let mut of_two = pair();
        let third = link("default/primary", "in9", "in3", "10.0.0.1/24");
        let links = of_two["runtimeConfig"]["links"].as_array_mut().unwrap();
        links.push(third);
        lab.add(&two, &of_two);
        two.sh("ip link add in9 type veth peer name in3; ip link set in9 up");
        let mut links = vec![link("default/pair", "in1", "in2", "192.168.2.100/24")];
        links.push(link("default/pair", "in3", "in9", "10.0.0.2/24"));
        let mut conf = conf(Value::Array(links));
        for (key, value) in keys.as_object().unwrap() {
            conf[key] = value.clone();
        }
        if conf["delegate"].is_object() {
            conf.as_object_mut().unwrap().remove("prevResult");
        }
        Some(Scene {
            add: lab.call("ADD", &one, &conf),
            del: lab.call("DEL", &one, &conf),
            pods: vec![one, two],
            host: lab.host,
            bridges: Vec::new(),
        })
    }
}

/// With one that starts no threads, which would each meet the fault again.
fn delegating() -> Value {
    let addresses = json!([{"address": "10.244.3.5/24", "gateway": "10.244.3.1"}]);
    let ipam = json!({"type": "static", "addresses": addresses});
    json!({"delegate": {"type": "macvlan", "master": "up0", "ipam": ipam}})
}

#[test]
fn no_fault_in_add_leaves_anything_and_what_is_not_ours_survives() {
    let Some(tally) = assert_no_residue("ratchet", None, scene(json!({}))) else {
        return;
    };
    assert!(tally.has_points(40, 8), "{tally}");
}

#[test]
fn no_fault_in_an_add_with_a_delegate_leaves_anything() {
    let Some(tally) = assert_no_residue("ratchet and macvlan", None, scene(delegating())) else {
        return;
    };
    assert!(tally.has_points(60, 15), "{tally}");
}

#[test]
fn the_next_del_completes_one_that_failed_or_died() {
    let Some(tally) = assert_del_completes("ratchet", scene(delegating())) else {
        return;
    };
    assert!(tally.has_points(26, 7), "{tally}");
}

/// A runtime may well call ADD again without a DEL between.
#[test]
fn the_next_add_ends_what_one_that_was_killed_began() {
    let scene = scene(json!({}));
    let Some(found) = scene() else { return };
    let Some(faults) = Faults::points(&found.add) else {
        return;
    };
    let points: Vec<usize> = faults.mortal().collect();
    assert!(points.len() > 8, "{}", points.len());
    drop(found);
    for point in points {
        let Some(found) = scene() else { return };
        let struck = faults.of_call(&found.add).kill_at(point);
        println!("killed at {}: {}", faults.list()[point], struck.hit);
        found.add.run().succeeds();
        assert!(found.pods[0].pings([192, 168, 2, 101]));
        // And the other pod's own interfaces are as they were.
        assert!(found.pods[1].ip("link show in9").contains("in9@in3"));
    }
}
