//! A fault at every system call of ADD and DEL: the device is never lost.

use crate::support::{Lab, NIC, conf, device, reserved};
use netloom_testkit::{Faults, Host, Plugin, PluginDir, Pod, Scene, assert_no_residue, parallel};
use serde_json::json;

/// With the IPAM plugin that is quickest to look at.
fn quick() -> serde_json::Value {
    let ipam = json!({"type": "static", "addresses": [{"address": "10.1.0.5/24"}]});
    conf(json!({"ipam": ipam}))
}

#[test]
fn no_fault_in_add_leaves_anything() {
    let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    let scene = || {
        let host = Host::new()?;
        let (pod, outside) = (host.pod("one"), host.pod("outside"));
        device(&host, &outside);
        let plugin = Plugin::ours(&plugins, "host-device");
        let call = |command| plugin.call(command, &conf(json!({}))).pod(&pod);
        let (add, del) = (call("ADD"), call("DEL"));
        Some(Scene {
            pods: vec![pod, outside],
            host,
            add,
            del,
            bridges: Vec::new(),
        })
    };
    let Some(tally) = assert_no_residue("host-device", None, scene) else {
        return;
    };
    assert!(tally.has_points(41, 21), "{tally}");
}

/// What is done to each of the points; `died` says that the container dies before the next DEL.
fn try_all(what: &str, command: &str, died: bool) {
    let Some(points) = learn(command) else { return };
    let kills = points.mortal().map(|k| (k, true));
    let fails = points.fallible().map(|k| (k, false));
    let trials: Vec<_> = match command {
        "DEL" => kills.chain(fails).collect(),
        _ => kills.collect(),
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let hits = parallel(trials.len(), workers, |index| {
        let (k, kill) = trials[index];
        let Some((lab, pod)) = stage(command) else {
            return 0;
        };
        let faults = points.of_call(&lab.plugin.call(command, &quick()).pod(&pod));
        let point = &faults.list()[k];
        let struck = match kill {
            true => faults.kill_at(k),
            false => faults.fail_at(k, point.likely_errno()),
        };
        let case = format!(
            "{what}, {} at {point}",
            if kill { "killed" } else { "failed" }
        );
        if died {
            for name in ["eth0", NIC] {
                if pod.ip("-o link").contains(&format!(" {name}@")) {
                    lab.container_dies(&pod, name, name);
                    break;
                }
            }
            pod.remove();
        }
        for _ in 0..2 {
            let del = lab.plugin.del(&quick(), &pod);
            assert!(del.is_success(), "{case}\n{del}\n{}", struck.outcome);
            lab.assert_returned(&case);
        }
        assert_eq!(reserved(), Vec::<String>::new(), "{case}");
        usize::from(struck.hit)
    });
    let hits: usize = hits.into_iter().sum();
    println!(
        "host-device, {what}: {hits} of {} points struck",
        trials.len()
    );
    assert!(hits > 15, "{what}: only {hits} points were struck");
}

fn stage(command: &str) -> Option<(Lab, Pod)> {
    let lab = Lab::new()?;
    let pod = lab.host.pod("one");
    if command == "DEL" {
        lab.plugin.add(&quick(), &pod).succeeds();
    }
    Some((lab, pod))
}

fn learn(command: &str) -> Option<Faults> {
    let (lab, pod) = stage(command)?;
    Faults::points(&lab.plugin.call(command, &quick()).pod(&pod))
}

#[test]
fn a_del_that_failed_or_was_killed_anywhere_is_completed_by_the_next() {
    try_all("DEL", "DEL", false);
}

#[test]
fn a_container_that_dies_after_its_add_was_killed_anywhere_gives_the_device_back() {
    try_all("ADD, then death", "ADD", true);
}

#[test]
fn a_container_that_dies_after_its_del_was_killed_anywhere_gives_the_device_back() {
    try_all("DEL, then death", "DEL", true);
}
