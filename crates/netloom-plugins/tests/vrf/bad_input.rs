//! What is refused, and changes nothing.

use crate::lab::{chained, conf, lab};
use serde_json::{Value, json};

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let with = |keys: Value| chained("eth0", keys);
    let cases: [(Value, u64, &[&str]); 9] = [
        (
            conf(json!({})),
            7,
            &["missing prevResult from earlier plugin"],
        ),
        (
            with(json!({"vrfname": ""})),
            7,
            &["expected to have a valid vrf name", "vrfname"],
        ),
        (with(json!({"vrfname": "a/b"})), 7, &["vrfname", "a/b"]),
        (
            with(json!({"vrfname": "eth0"})),
            7,
            &["vrfname", "interface itself"],
        ),
        (
            with(json!({"vrfname": "net1"})),
            7,
            &["net1 is not a VRF", "veth"],
        ),
        (with(json!({"table": 254})), 7, &["table", "254"]),
        (with(json!({"table": "x"})), 6, &["table", "x"]),
        (
            with(json!({"vrfname": "red", "table": 8})),
            7,
            &["VRF red already exist with different routing table 9"],
        ),
        (with(json!({"cniVersion": "0.3.0"})), 1, &["0.3.0"]),
    ];
    let Some(lab) = lab() else { return };
    lab.pod.ip("link add red type vrf table 9");
    let before = lab.snapshot();
    for (request, code, words) in cases {
        lab.run("ADD", "eth0", &request)
            .fails_with(code)
            .names(words);
        lab.snapshot().assert_same_as(&before);
    }
    let call = lab.call(&lab.vrf, "ADD", "eth0", &with(json!({})));
    let nowhere = call.env("CNI_NETNS", "/run/netns/none").run();
    nowhere.fails_with(8).names(&["/run/netns/none"]);
    lab.run("ADD", "net9", &chained("net9", json!({})))
        .fails()
        .names(&["net9"]);
    lab.snapshot().assert_same_as(&before);
    lab.pod.ip("link set eth0 master red");
    let before = lab.snapshot();
    let error = lab.run("ADD", "eth0", &with(json!({}))).fails();
    error.names(&["eth0", "already a master", "red"]);
    lab.snapshot().assert_same_as(&before);
}
