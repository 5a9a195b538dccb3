//! What is refused, and changes nothing.

use crate::lab::{DUAL, ENV, conf, lab};
use serde_json::{Value, json};
use std::fs;

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let cases: [(Value, &str, u64, &[&str]); 11] = [
        (
            json!({"delegate": {"type": 7}}),
            DUAL,
            7,
            &["'delegate'", "'type'"],
        ),
        (
            json!({"delegate": {"name": "x"}}),
            DUAL,
            7,
            &["must not have 'name'"],
        ),
        (
            json!({"delegate": {"ipam": {}}}),
            DUAL,
            7,
            &["must not have 'ipam'"],
        ),
        (
            json!({"delegate": {"type": "flannel"}}),
            DUAL,
            7,
            &["delegate.type", "flannel"],
        ),
        (json!({"delegate": {"type": "../sh"}}), DUAL, 7, &["../sh"]),
        (
            json!({"delegate": "bridge"}),
            DUAL,
            6,
            &["delegate", "bridge"],
        ),
        (
            json!({"ipam": {"routes": [{"dst": "x"}]}}),
            DUAL,
            7,
            &["ipam.routes", "\"x\""],
        ),
        (
            json!({"subnetFile": "/run/none.env"}),
            DUAL,
            11,
            &["/run/none.env", "no such file"],
        ),
        (
            json!({"subnetFile": "/run"}),
            DUAL,
            5,
            &["/run", "not a regular file"],
        ),
        (
            json!({}),
            "FLANNEL_MTU\n",
            7,
            &["line 1", "FLANNEL_MTU has no value"],
        ),
        (
            json!({}),
            "FLANNEL_MTU=1450\n",
            7,
            &[ENV, "is missing FLANNEL_NETWORK"],
        ),
    ];
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    for (keys, env, code, words) in cases {
        fs::write(ENV, env).unwrap();
        let before = lab.snapshot(&[&pod]);
        let error = lab.flannel.add(&conf(keys), &pod).fails();
        assert_eq!(error.code, code, "{}", error.text());
        error.names(words);
        lab.snapshot(&[&pod]).assert_same_as(&before);
    }
}

#[test]
fn an_interface_that_has_the_name_is_refused_and_stays() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    pod.ip("link add eth0 type veth peer name taken");
    let before = pod.ip("-o link");
    let error = lab.flannel.add(&conf(json!({})), &pod).fails_with(999);
    error.names(&["eth0", "already exists"]);
    assert_eq!(pod.ip("-o link"), before);
}
