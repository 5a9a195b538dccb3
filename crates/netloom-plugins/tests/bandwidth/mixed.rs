//! One host, two implementations: Debian's Go plugin and ours.

use crate::support::{HOST_END, Lab, both, conf_in};
use netloom_testkit::Plugin;
use serde_json::{Value, json};

/// What `tc` says, without what differs by design: Go redirects twice.
fn shaping(lab: &Lab) -> Vec<String> {
    let ifb = lab.ifbs();
    let mut found = vec![lab.qdiscs(HOST_END)];
    if let Some(ifb) = ifb.first() {
        found.push(lab.qdiscs(ifb));
        let filters = lab
            .host
            .sh(&format!("tc filter show dev {HOST_END} ingress"));
        assert!(
            filters.contains(&format!("Egress Redirect to device {ifb}")),
            "{filters}"
        );
        let until_actions = filters.split("action order").next().unwrap_or_default();
        found.push(until_actions.to_owned());
        let link: Value =
            serde_json::from_str(&lab.host.ip(&format!("-j -d link show {ifb}"))).unwrap();
        for key in ["mtu", "txqlen", "qdisc", "flags"] {
            found.push(format!("{key} {}", link[0][key]));
        }
    }
    found
}

#[test]
fn both_shape_alike_and_each_checks_and_deletes_what_the_other_added() {
    let one_way = json!({"ingressRate": 8_000_000, "ingressBurst": 160_000});
    let odd = json!({"ingressRate": 1_234_567, "ingressBurst": 765_432,
        "egressRate": 10_000_000_000_u64, "egressBurst": 8_000_000});
    for version in ["0.3.0", "0.3.1", "0.4.0", "1.0.0"] {
        for keys in [both(), one_way.clone(), odd.clone()] {
            let Some(lab) = Lab::new() else { return };
            let Some(go) = Plugin::debian("bandwidth") else {
                return;
            };
            let pod = lab.pod();
            let before = lab.snapshot(&[&pod]);
            let conf = conf_in(version, keys);
            let mut made = Vec::new();
            for (adds, deletes) in [(&go, &lab.plugin), (&lab.plugin, &go)] {
                let mut result = adds.add(&conf, &pod).succeeds();
                if version >= "0.4.0" {
                    deletes.check(&conf, &result, &pod).succeeds_silently();
                    adds.check(&conf, &result, &pod).succeeds_silently();
                }
                let shape = shaping(&lab);
                for _ in 0..2 {
                    deletes.del_with(&conf, &result, &pod).succeeds_silently();
                }
                assert!(lab.ifbs().is_empty());
                if deletes.program() == go.program() {
                    // Go leaves the host's end to whoever removes the veth.
                    lab.plugin
                        .del_with(&conf, &result, &pod)
                        .succeeds_silently();
                }
                lab.snapshot(&[&pod]).assert_same_as(&before);
                if let Some(ifb) = result["interfaces"].get_mut(2) {
                    ifb.as_object_mut().unwrap().remove("mac");
                }
                made.push((shape, result["interfaces"].clone()));
            }
            assert_eq!(made[0], made[1], "{version}");
        }
    }
}
