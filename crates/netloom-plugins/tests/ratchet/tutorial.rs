//! The end of the first ratchet's tutorial: two pods, a link, and a ping.

use crate::lab::{files, has, interfaces, lab, pair, primary};
use netloom_testkit::Pod;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const PRIMARY: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 100);
const PAIR: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 101);

/// As the first ratchet's labels are, in annotations.
fn labelled(annotations: Value) -> Value {
    crate::lab::with(json!({"runtimeConfig": {"io.kubernetes.cri.pod-annotations": annotations}}))
}

fn labels_of_primary() -> Value {
    labelled(json!({
        "ratchet": "true", "ratchet.pod_name": "primary", "ratchet.target_pod": "primary",
        "ratchet.target_container": "primary", "ratchet.public_ip": "1.1.1.1",
        "ratchet.local_ip": "192.168.2.100", "ratchet.local_ifname": "in1",
        "ratchet.pair_name": "pair", "ratchet.pair_ip": "192.168.2.101",
        "ratchet.pair_ifname": "in2", "ratchet.primary": "true"
    }))
}

fn labels_of_pair() -> Value {
    labelled(json!({"ratchet": "true", "ratchet.pod_name": "pair", "ratchet.primary": "false"}))
}

fn linked(one: &Pod, two: &Pod) {
    let begun = Instant::now();
    assert!(one.pings(PAIR));
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert!(two.pings(PRIMARY));
    assert!(has(one, "in1"), "{}", one.ip("link"));
    assert!(has(two, "in2"), "{}", two.ip("link"));
}

/// Every order of coming and going, in the form of today and in that of the first ratchet.
#[test]
fn two_pods_are_linked_in_any_order_and_nothing_is_left_of_it() {
    for forms in [[primary(), pair()], [labels_of_primary(), labels_of_pair()]] {
        for [first, second] in [[0, 1], [1, 0]] {
            for [leaver, stayer] in [[0, 1], [1, 0]] {
                let Some(lab) = lab() else { return };
                let pods = [lab.host.pod("primary"), lab.host.pod("pair")];
                let before = lab.snapshot(&[&pods[0], &pods[1]]);
                let result = lab.add(&pods[first], &forms[first]);
                assert_eq!(interfaces(&result), [""; 0], "{result}");
                let result = lab.add(&pods[second], &forms[second]);
                assert_eq!(interfaces(&result), [["in1", "in2"][second]], "{result}");
                linked(&pods[0], &pods[1]);
                for (pod, conf) in pods.iter().zip(&forms) {
                    lab.check(pod, conf).succeeds_silently();
                }
                lab.del(&pods[leaver], &forms[leaver]);
                assert!(!has(&pods[0], "in1") && !has(&pods[1], "in2"));
                lab.check(&pods[stayer], &forms[stayer]).succeeds_silently();
                // It comes again.
                lab.add(&pods[leaver], &forms[leaver]);
                linked(&pods[0], &pods[1]);
                for _ in 0..2 {
                    lab.del(&pods[leaver], &forms[leaver]);
                    lab.del(&pods[stayer], &forms[stayer]);
                }
                lab.assert_same(&before, &[&pods[0], &pods[1]]);
                assert_eq!(files(), [""; 0]);
            }
        }
    }
}

#[test]
fn pods_whose_namespaces_are_gone_leave_nothing() {
    for late in [false, true] {
        let Some(lab) = lab() else { return };
        let before = lab.snapshot(&[]);
        let (one, two) = (lab.host.pod("primary"), lab.host.pod("pair"));
        lab.add(&one, &primary());
        lab.add(&two, &pair());
        one.remove();
        if late {
            two.remove();
        }
        for _ in 0..2 {
            lab.del(&one, &primary());
            // Whether the kernel is done with the namespace or not.
            assert!(late || !has(&two, "in2"));
        }
        for _ in 0..2 {
            lab.del(&two, &pair());
        }
        assert_eq!(files(), [""; 0]);
        drop((one, two));
        lab.assert_same(&before, &[]);
    }
}
