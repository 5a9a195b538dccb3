//! What is refused, and changes nothing.

use crate::lab::{conf, lab, link, pair, with};
use serde_json::{Value, json};

/// A link with another value.
fn with_value(key: &str, value: Value) -> Value {
    let mut link = link("default/pair", "in1", "in2", "192.168.2.100/24");
    link[key] = value;
    conf(json!([link]))
}

fn annotated(annotations: Value) -> Value {
    with(json!({"runtimeConfig": {"io.kubernetes.cri.pod-annotations": annotations}}))
}

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let twice = link("default/other", "in1", "in9", "10.0.0.1/24");
    let good = link("default/pair", "in1", "in2", "192.168.2.100/24");
    let cases: Vec<(Value, u64, &[&str])> = vec![
        (
            with_value("peer", json!("pair")),
            7,
            &["runtimeConfig.links[0].peer", "\"pair\"", "namespace/name"],
        ),
        (
            with_value("peer", json!("default/Pair")),
            7,
            &["default/Pair"],
        ),
        (
            with_value("peer", json!("../../etc/x")),
            7,
            &["../../etc/x"],
        ),
        (
            with_value("peer", json!("host")),
            7,
            &["runtimeConfig.links[0].peer", "\"host\"", "allowHost"],
        ),
        (
            with_value("peer", json!("bridge:br0")),
            7,
            &["\"bridge:br0\"", "allowHost"],
        ),
        (with_value("peer", json!("bridge:")), 7, &["\"\""]),
        (with_value("peer", json!("bridge:a/b")), 7, &["a/b"]),
        (
            with(json!({"allowHost": "yes"})),
            6,
            &["allowHost", "\"yes\""],
        ),
        (
            with_value("peer", json!("default/primary")),
            7,
            &["the pod itself"],
        ),
        (with_value("peer", json!(7)), 6, &["peer", "7"]),
        (with_value("if", json!("eth0")), 7, &["eth0", "already"]),
        (with_value("if", json!("a/b")), 7, &["links[0].if", "a/b"]),
        (with_value("if", json!("")), 7, &["links[0].if"]),
        (
            with_value("peerIf", json!("lo")),
            7,
            &["links[0].peerIf", "lo"],
        ),
        (
            with_value("addresses", json!(["192.168.2.100"])),
            7,
            &["links[0].addresses", "192.168.2.100"],
        ),
        (
            with_value("addresses", json!("192.168.2.100/24")),
            6,
            &["addresses"],
        ),
        (
            with_value("addresses", json!(["224.0.0.1/24"])),
            7,
            &["224.0.0.1"],
        ),
        (
            with_value("mac", json!("01:00:00:00:00:01")),
            7,
            &["links[0].mac", "unicast"],
        ),
        (with_value("mtu", json!(67)), 7, &["links[0].mtu", "67"]),
        (with_value("mtu", json!(-1)), 7, &["links[0].mtu", "-1"]),
        (
            with_value("routes", json!([{"dst": "x"}])),
            7,
            &["links[0].routes", "\"x\""],
        ),
        (
            with_value("routes", json!([{"dst": "10.0.0.0/8", "gw": "fd00::1"}])),
            7,
            &["families"],
        ),
        (
            with_value("impair", json!({"rate": "fast"})),
            7,
            &["links[0].impair", "\"fast\""],
        ),
        (
            with_value("impair", json!({"speed": "1"})),
            7,
            &["links[0].impair", "speed"],
        ),
        (with_value("vni", json!(1 << 24)), 7, &["links[0].vni"]),
        (with_value("host", json!("a")), 7, &["peerHost"]),
        (
            conf(json!([good, twice])),
            7,
            &["links[1]", "in1", "default/pair"],
        ),
        (with(json!({"links": {}})), 6, &["links"]),
        (
            with(json!({"store": "etcd:http://x"})),
            7,
            &["store", "etcd:http://x", "file:/var/lib/cni"],
        ),
        (
            with(json!({"store": "relative"})),
            7,
            &["store", "relative"],
        ),
        (
            with(json!({"source": ["docker"]})),
            7,
            &["source", "docker", "annotations"],
        ),
        (
            with(json!({"source": ["file:x"]})),
            7,
            &["source", "file:x"],
        ),
        (with(json!({"wait": 31})), 7, &["wait 31", "30"]),
        (with(json!({"required": true})), 7, &["required", "wait"]),
        (with(json!({"report": "all"})), 7, &["report", "\"all\""]),
        (with(json!({"delegate": {}})), 7, &["delegate", "type"]),
        (
            with(json!({"delegate": {"type": "ratchet"}})),
            7,
            &["delegate.type", "ratchet"],
        ),
        (
            with(json!({"delegate": {"type": "bridge"}})),
            7,
            &["delegate", "chain"],
        ),
        (with(json!({"delegate": "bridge"})), 6, &["delegate"]),
        (
            annotated(json!({"netloom.dev/links": "[{"})),
            6,
            &["netloom.dev/links"],
        ),
        (
            annotated(json!({"netloom.dev/links": "[{\"pod\": \"default/x\"}]"})),
            7,
            &["netloom.dev/links[0].pod"],
        ),
        (
            annotated(json!({"ratchet": "true", "ratchet.primary": "true"})),
            7,
            &["ratchet.local_ifname"],
        ),
        (
            annotated(json!({"ratchet": "true", "ratchet.pod_name": "other"})),
            7,
            &["ratchet.pod_name", "default/other", "default/primary"],
        ),
    ];
    let Some(lab) = lab() else { return };
    let (one, two) = (lab.host.pod("primary"), lab.host.pod("pair"));
    lab.add(&two, &pair());
    let before = lab.snapshot(&[&one, &two]);
    for (conf, code, words) in cases {
        let error = lab.call("ADD", &one, &conf).run().fails();
        assert_eq!(error.code, code, "{}", error.text());
        error.names(words);
        lab.snapshot(&[&one, &two]).assert_same_as(&before);
        // DEL is no place to be strict.
        lab.del(&one, &conf);
    }
    lab.snapshot(&[&one, &two]).assert_same_as(&before);
}

#[test]
fn a_pod_without_a_name_can_have_no_links_and_needs_none() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let call = |conf: &Value| lab.ratchet.call("ADD", conf).pod(&pod).run();
    call(&with(json!({}))).succeeds();
    call(&pair()).fails_with(7).names(&["K8S_POD_NAME"]);
    // Links of others are no matter.
    let mut of_other = link("default/pair", "in1", "in2", "192.168.2.100/24");
    of_other["pod"] = json!("default/primary");
    call(&with(json!({"links": [of_other]}))).succeeds();
    // The first ratchet's labels tell a name where the runtime does not.
    call(&annotated(
        json!({"ratchet": "true", "ratchet.pod_name": "pair"}),
    ))
    .succeeds();
}
