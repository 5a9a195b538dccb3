//! DEL, whatever is left of the pod.

use crate::lab::{KERNEL_RULES, Lab, chained, conf, lab, made};
use serde_json::{Value, json};
use std::path::Path;

/// DEL twice, with this for `prevResult` and this for `CNI_NETNS`.
fn del_twice(lab: &Lab, prev_result: &Value, netns: &str) {
    let mut request = conf(json!({}));
    if !prev_result.is_null() {
        request["prevResult"] = prev_result.clone();
    }
    for _ in 0..2 {
        let call = lab.call(&lab.sbr, "DEL", "net1", &request);
        call.env("CNI_NETNS", netns).run().succeeds_silently();
    }
}

fn results() -> [Value; 3] {
    let unreadable = json!({"cniVersion": "9.9.9", "ips": "none"});
    [made("net1", "1.1.0"), Value::Null, unreadable]
}

#[test]
fn del_takes_everything_back_with_and_without_a_result() {
    for prev_result in results() {
        let Some(lab) = lab() else { return };
        let before = lab.snapshot();
        lab.add("net1", json!({}));
        del_twice(&lab, &prev_result, "/run/netns/one");
        lab.snapshot().assert_same_as(&before);
    }
}

#[test]
fn del_makes_no_file_where_the_namespace_was() {
    for prev_result in results() {
        let Some(lab) = lab() else { return };
        lab.add("net1", json!({}));
        lab.pod.remove();
        del_twice(&lab, &prev_result, "/run/netns/one");
        assert!(!Path::new("/run/netns/one").exists());
        del_twice(&lab, &prev_result, "");
        std::fs::write("/run/plain", "x").unwrap();
        del_twice(&lab, &prev_result, "/run/plain");
        assert_eq!(std::fs::read("/run/plain").unwrap(), b"x");
    }
}

#[test]
fn del_removes_the_rules_of_a_link_that_is_gone() {
    for prev_result in results() {
        let Some(lab) = lab() else { return };
        lab.add("eth0", json!({}));
        let mut before = lab.rules();
        lab.add("net1", json!({}));
        // Somebody else's rules, about addresses that the pod does not have.
        lab.pod.ip("rule add from 10.99.0.1 lookup 99 priority 9");
        before[0] = lab.rules()[0].replace("from 10.2.0.2 lookup 102 ", "");
        before[0] = before[0].replace("32764:32766", "32766");
        lab.pod.ip("link del net1");
        del_twice(&lab, &prev_result, "/run/netns/one");
        let after = lab.rules();
        assert!(after[0].contains("from 10.99.0.1 lookup 99"), "{after:?}");
        assert!(after[0].contains("from 10.1.0.2 lookup 100"), "{after:?}");
        assert!(
            !after[0].contains("10.2.0.2") && !after[1].contains("fd00:2::2"),
            "{after:?}"
        );
        assert_eq!(after[1], before[1]);
    }
}

#[test]
fn del_of_one_interface_leaves_the_other_and_rules_of_administrators() {
    let Some(lab) = lab() else { return };
    lab.pod
        .sh("ip rule add from 10.2.0.0/24 lookup 60 priority 10
         ip rule add from 10.2.0.2 iif lo lookup 61 priority 11");
    let before = lab.snapshot();
    lab.add("net1", json!({}));
    lab.del("net1", json!({}));
    lab.snapshot().assert_same_as(&before);
}

#[test]
fn del_changes_nothing_in_a_namespace_that_is_another_pods_by_now() {
    let Some(lab) = lab() else { return };
    lab.add("net1", json!({}));
    let before = lab.snapshot();
    let mut foreign = made("net1", "1.1.0");
    foreign["interfaces"][1]["mac"] = json!("02:00:00:00:00:77");
    for (index, address) in ["10.77.0.2/24", "fd00:77::2/64"].iter().enumerate() {
        foreign["ips"][index]["address"] = json!(address);
    }
    del_twice(&lab, &foreign, "/run/netns/one");
    lab.snapshot().assert_same_as(&before);
}

#[test]
fn del_goes_on_with_a_configuration_that_add_would_refuse() {
    let Some(lab) = lab() else { return };
    lab.add("net1", json!({}));
    let mut request = chained("net1", json!({"gateways": "none", "table": "x"}));
    request["addSourceHints"] = json!(7);
    lab.run("DEL", "net1", &request).succeeds_silently();
    assert_eq!(lab.rules(), KERNEL_RULES);
}

#[test]
fn gc_and_status_have_nothing_to_do() {
    let Some(lab) = lab() else { return };
    lab.add("net1", json!({}));
    let before = lab.snapshot();
    lab.sbr.gc(&conf(json!({})), &[]).succeeds_silently();
    lab.sbr.status(&conf(json!({}))).succeeds_silently();
    lab.sbr.status(&conf(json!({"table": 0}))).fails_with(7);
    lab.snapshot().assert_same_as(&before);
}
