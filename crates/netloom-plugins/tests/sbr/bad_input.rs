//! What is refused, and changes nothing.

use crate::lab::{chained, conf, lab};
use serde_json::{Value, json};

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let Some(lab) = lab() else { return };
    let with = |change: fn(&mut Value)| {
        let mut request = chained("net1", json!({}));
        change(&mut request);
        request
    };
    let cases: [(Value, u64, &[&str]); 10] = [
        (
            conf(json!({})),
            7,
            &["must be called as chained plugin", "prevResult"],
        ),
        (with(|c| c["table"] = json!("main")), 6, &["table", "main"]),
        (
            with(|c| c["table"] = json!(-3)),
            7,
            &["table", "-3", "from 1"],
        ),
        (
            with(|c| c["gateways"] = json!(["10.2.0.1", "10.2.0.9"])),
            7,
            &["multiple IPv4 addresses", "10.2.0.9"],
        ),
        (
            with(|c| c["gateways"] = json!(["gw"])),
            7,
            &["gateways", "\"gw\""],
        ),
        (
            with(|c| c["addSourceHints"] = json!("yes")),
            6,
            &["addSourceHints", "yes"],
        ),
        (
            with(|c| c["prevResult"]["ips"] = json!([])),
            7,
            &["No IP addresses supplied on interface", "net1"],
        ),
        (
            with(|c| c["prevResult"]["ips"][0]["address"] = json!("10.2.0.2")),
            7,
            &["prevResult", "ips[0].address", "10.2.0.2"],
        ),
        (
            with(|c| {
                c["prevResult"]["ips"] =
                    json!([{"address": "10.2.0.2/24", "gateway": "10.99.0.1", "interface": 1}]);
            }),
            999,
            &["0.0.0.0/0 via 10.99.0.1", "table 100"],
        ),
        (
            with(|c| {
                c["prevResult"]["ips"] = json!([{"address": "10.1.0.2/24", "interface": 0}]);
            }),
            7,
            &["No IP addresses supplied on interface", "net1"],
        ),
    ];
    let before = lab.snapshot();
    for (request, code, words) in cases {
        lab.run("ADD", "net1", &request)
            .fails_with(code)
            .names(words);
        lab.snapshot().assert_same_as(&before);
    }
    let request = chained("net1", json!({}));
    let error = lab.run("ADD", "net7", &chained("net7", json!({}))).fails();
    error.names(&["net7"]);
    let call = lab.call(&lab.sbr, "ADD", "net1", &request);
    call.env("CNI_NETNS", "/run/netns/none")
        .run()
        .fails_with(8)
        .names(&["/run/netns/none"]);
    lab.snapshot().assert_same_as(&before);
}
