//! CHECK names the drift.

use crate::lab::{chained, conf, lab, made};
use netloom_testkit::{Plugin, Pod};
use serde_json::{Value, json};

#[test]
fn check_names_what_is_no_longer_as_add_made_it() {
    type Drift = (&'static str, Value, &'static [&'static str]);
    let drifts: [Drift; 8] = [
        (
            "ip rule del from 10.2.0.2",
            json!({}),
            &["10.2.0.2", "no rule"],
        ),
        (
            "ip -6 rule del from fd00:2::2",
            json!({}),
            &["fd00:2::2", "no rule"],
        ),
        (
            "ip route del default table 100",
            json!({}),
            &["table 100", "default route via 10.2.0.1", "net1"],
        ),
        (
            "ip route del 10.2.0.0/24 table 100",
            json!({}),
            &["table 100", "a route to the gateway 10.2.0.1"],
        ),
        (
            "ip route del 172.30.0.0/16 table 100",
            json!({}),
            &["table 100", "172.30.0.0/16 via 10.2.0.1"],
        ),
        ("ip link del net1", json!({}), &["net1", "not found"]),
        (
            "ip rule del from 10.2.0.2",
            json!({"table": 51}),
            &["10.2.0.2", "to table 51"],
        ),
        (
            "ip -6 route del fd00:2::/64 dev net1",
            json!({"addSourceHints": true}),
            &["main table", "fd00:2::/64", "fd00:2::2"],
        ),
    ];
    for (drift, keys, words) in drifts {
        let Some(lab) = lab() else { return };
        lab.add("net1", keys.clone());
        let mut request = chained("net1", keys);
        request["prevResult"]["routes"] = json!([{"dst": "172.30.0.0/16", "gw": "10.2.0.1"}]);
        lab.run("CHECK", "net1", &request).succeeds_silently();
        lab.pod.sh(drift);
        lab.run("CHECK", "net1", &request)
            .fails_with(999)
            .names(words);
    }
}

#[test]
fn check_needs_the_result_of_add() {
    let Some(lab) = lab() else { return };
    let error = lab.run("CHECK", "net1", &conf(json!({}))).fails_with(7);
    error.names(&["prevResult"]);
}

#[test]
fn the_plugin_before_still_finds_its_routes() {
    let Some(lab) = lab() else { return };
    let ptp = Plugin::ours(&lab.plugins, "ptp");
    let two = lab.host.pod("two");
    let conf = json!({
        "cniVersion": "1.1.0", "name": "net", "type": "ptp",
        "ipam": {
            "type": "host-local", "subnet": "10.23.0.0/24", "routes": [{"dst": "0.0.0.0/0"}]
        }
    });
    let result = ptp.add(&conf, &two).succeeds();
    let routed = |pod: &Pod| pod.ip("route show table 100");
    let mut request = crate::lab::conf(json!({}));
    request["prevResult"] = result.clone();
    lab.sbr.add(&request, &two).succeeds();
    assert!(routed(&two).contains("default via 10.23.0.1"));
    ptp.check(&conf, &result, &two).succeeds_silently();
    lab.sbr.check(&request, &result, &two).succeeds_silently();
    let foreign = lab
        .sbr
        .check(&request, &made("net1", "1.1.0"), &two)
        .fails();
    foreign.names(&["no address", "eth0"]);
}
