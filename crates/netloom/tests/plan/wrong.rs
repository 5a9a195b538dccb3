//! Misuse of `plan`, and what ADD would refuse.

use serde_json::json;

use crate::{configure, host, netloom};

#[test]
fn what_cannot_be_planned_is_one_error_and_changes_nothing() {
    let Some(host) = host() else { return };
    configure(&json!({
        "cniVersion": "1.1.0", "name": "mynet", "type": "macvlan", "master": "nothing0",
        "ipam": {"type": "host-local", "subnet": "10.16.0.0/30"}
    }));
    let pod = host.pod("one");
    let pod = pod.path().to_str().unwrap();
    let cases: &[(&[&str], &str, i32)] = &[
        (&["plan"], "<NETWORK>", 2),
        (&["plan", "mynet"], "<NETNS>", 2),
        (&["plan", "mynet", pod, "more"], "more", 2),
        (&["plan", "mynet", pod, "--rehearse"], "--rehearse", 2),
        (&["plan", "mynet", "nowhere"], "/var/run/netns/nowhere", 2),
        (&["plan", "mynet", "/etc/hosts"], "/etc/hosts", 2),
        (&["plan", "mynte", pod], "did you mean \"mynet\"?", 2),
        (&["plan", pod, "mynet"], "the network's name comes first", 2),
        (&["plan", "mynet", pod], "nothing0", 1),
    ];
    for (arguments, words, status) in cases {
        let outcome = netloom(arguments).run();
        assert_eq!(outcome.code(), Some(*status), "{arguments:?}: {outcome}");
        assert!(outcome.stderr.contains(words), "{arguments:?}: {outcome}");
    }
    configure(&json!({
        "cniVersion": "1.1.0", "name": "mynet", "type": "ptp",
        "ipam": {"type": "host-local", "subnet": "10.16.0.0/33"}
    }));
    let outcome = netloom(&["plan", "mynet", pod]).run();
    assert_eq!(outcome.code(), Some(1), "{outcome}");
    assert!(outcome.stderr.contains("10.16.0.0/33"), "{outcome}");
}

#[test]
fn a_taken_name_and_a_full_pool_are_told() {
    let Some(host) = host() else { return };
    configure(&json!({
        "cniVersion": "1.1.0", "name": "mynet", "type": "ptp",
        "ipam": {"type": "host-local", "subnet": "10.16.0.0/30"}
    }));
    let (one, two) = (host.pod("one"), host.pod("two"));
    let (one, two) = (one.path().to_str().unwrap(), two.path().to_str().unwrap());
    netloom(&["add", "mynet", one]).run().succeeds();
    let full = netloom(&["plan", "mynet", two]).run();
    assert!(
        full.stderr.contains("no address of") && full.code() == Some(1),
        "{full}"
    );
    configure(&json!({"cniVersion": "1.1.0", "name": "other", "type": "bridge"}));
    let taken = netloom(&["plan", "other", one]).run();
    assert!(taken.stderr.contains("ADD would refuse this"), "{taken}");
}
