//! CHECK names the drift.

use crate::lab::{chained, conf, lab};
use serde_json::{Value, json};

#[test]
fn check_names_what_is_no_longer_as_add_made_it() {
    type Drift = (&'static str, Value, &'static [&'static str]);
    let drifts: [Drift; 8] = [
        (
            "ip link set eth0 nomaster",
            json!({}),
            &["eth0", "associated to vrf blue"],
        ),
        ("ip link del blue", json!({}), &["blue", "not found"]),
        (
            "ip link del blue; ip link add blue type bridge",
            json!({}),
            &["blue", "not a VRF", "bridge"],
        ),
        ("ip link set blue down", json!({}), &["blue", "down"]),
        (
            "ip link del blue; ip link add blue up type vrf table 78; ip link set eth0 master blue",
            json!({"table": 77}),
            &["blue", "routing table 78, not 77"],
        ),
        (
            "ip addr del fd00:1::2/64 dev eth0",
            json!({}),
            &["fd00:1::2/64", "eth0"],
        ),
        (
            "ip route del default table 1",
            json!({}),
            &["table 1", "blue", "0.0.0.0/0 via 10.1.0.1", "eth0"],
        ),
        ("ip link del eth0", json!({}), &["eth0", "not found"]),
    ];
    for (drift, keys, words) in drifts {
        let Some(lab) = lab() else { return };
        lab.add("eth0", keys.clone());
        let request = chained("eth0", keys);
        lab.run("CHECK", "eth0", &request).succeeds_silently();
        lab.pod.sh(drift);
        lab.run("CHECK", "eth0", &request)
            .fails_with(999)
            .names(words);
    }
}

#[test]
fn check_needs_the_result_of_add() {
    let Some(lab) = lab() else { return };
    let error = lab.run("CHECK", "eth0", &conf(json!({}))).fails_with(7);
    error.names(&["prevResult"]);
}
