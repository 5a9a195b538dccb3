//! Copies of what passes an interface.

use netloom_testkit::Pod;

use crate::{fails, host, snapshot, succeeds};

/// How many packets an interface has sent.
fn sent(pod: &Pod, name: &str) -> u64 {
    let line = pod.sh(&format!(
        "cat /sys/class/net/{name}/statistics/tx_packets 2>/dev/null || ip -s -j link show {name}"
    ));
    line.trim().parse().unwrap_or_else(|_| {
        let document: serde_json::Value = serde_json::from_str(&line).unwrap();
        document[0]["stats64"]["tx"]["packets"].as_u64().unwrap()
    })
}

#[test]
fn copies_leave_by_another_interface_until_they_are_switched_off() {
    let Some((host, pods)) = host(["blue", "red"]) else {
        return;
    };
    succeeds("link add ns:blue/in1,10.0.0.1/24 ns:red/in2,10.0.0.2/24");
    succeeds("link add ns:blue/tap0 ns:red/tap1");
    let before = snapshot(&host, &pods);
    succeeds("link mirror ns:blue/in1 --to tap0");
    let quiet = sent(&pods[0], "tap0");
    assert!(pods[0].pings([10, 0, 0, 2]));
    // The question and the answer, at least.
    assert!(sent(&pods[0], "tap0") >= quiet + 2);
    fails("link mirror ns:blue/tap0 --to in1", "copies would go round");
    fails("link mirror ns:blue/in1 --to in1", "to itself");
    fails(
        "link mirror ns:blue/in1 --to ns:red/in2",
        "in another namespace",
    );
    let shown = succeeds("link show ns:blue/in1");
    assert!(shown.contains("ingress to tap0 egress to tap0"), "{shown}");
    succeeds("link mirror ns:blue/in1 --to tap0 --egress");
    assert!(succeeds("link show ns:blue/in1").contains("mirrors      egress to tap0"));
    // A target that goes away stops nothing.
    succeeds("link mirror ns:blue/in1 --off");
    succeeds("link mirror ns:blue/in1 --off");
    snapshot(&host, &pods).assert_same_as(&before);
}
