//! DEL, whatever is left of the pod.

use crate::lab::{Lab, conf, lab, made};
use serde_json::{Value, json};
use std::path::Path;

fn del_twice(lab: &Lab, prev_result: &Value, netns: &str) {
    let mut request = conf(json!({}));
    if !prev_result.is_null() {
        request["prevResult"] = prev_result.clone();
    }
    for _ in 0..2 {
        let call = lab.call(&lab.vrf, "DEL", "eth0", &request);
        call.env("CNI_NETNS", netns).run().succeeds_silently();
    }
}

fn results() -> [Value; 3] {
    let unreadable = json!({"cniVersion": "9.9.9", "ips": "none"});
    [made("eth0", "1.1.0"), Value::Null, unreadable]
}

#[test]
fn del_takes_everything_back_with_and_without_a_result() {
    for prev_result in results() {
        let Some(lab) = lab() else { return };
        let before = lab.snapshot();
        lab.add("eth0", json!({}));
        del_twice(&lab, &prev_result, "/run/netns/one");
        lab.snapshot().assert_same_as(&before);
    }
}

#[test]
fn del_removes_the_vrf_of_a_link_that_is_gone() {
    for prev_result in results() {
        let Some(lab) = lab() else { return };
        lab.add("eth0", json!({}));
        lab.pod.ip("link del eth0");
        del_twice(&lab, &prev_result, "/run/netns/one");
        assert_eq!(lab.vrfs(), []);
    }
}

#[test]
fn del_succeeds_without_the_namespace() {
    for prev_result in results() {
        let Some(lab) = lab() else { return };
        lab.add("eth0", json!({}));
        lab.pod.remove();
        del_twice(&lab, &prev_result, "/run/netns/one");
        assert!(!Path::new("/run/netns/one").exists());
        del_twice(&lab, &prev_result, "");
        std::fs::write("/run/plain", "x").unwrap();
        del_twice(&lab, &prev_result, "/run/plain");
    }
}

#[test]
fn del_leaves_what_is_not_its_own() {
    let Some(lab) = lab() else { return };
    lab.pod.sh("ip link add red up type vrf table 9
         ip link set eth0 master red
         ip link add blue type bridge");
    let before = lab.snapshot();
    del_twice(&lab, &made("eth0", "1.1.0"), "/run/netns/one");
    lab.snapshot().assert_same_as(&before);
}

#[test]
fn del_changes_nothing_in_a_namespace_that_is_another_pods_by_now() {
    let Some(lab) = lab() else { return };
    lab.add("eth0", json!({}));
    let before = lab.snapshot();
    let mut foreign = made("eth0", "1.1.0");
    foreign["interfaces"][0]["mac"] = json!("02:00:00:00:00:77");
    for (index, address) in ["10.77.0.2/24", "fd00:77::2/64"].iter().enumerate() {
        foreign["ips"][index]["address"] = json!(address);
    }
    del_twice(&lab, &foreign, "/run/netns/one");
    lab.snapshot().assert_same_as(&before);
}

#[test]
fn del_goes_on_with_a_configuration_that_add_would_refuse() {
    let Some(lab) = lab() else { return };
    lab.add("eth0", json!({}));
    let request = conf(json!({"table": "none"}));
    lab.run("DEL", "eth0", &request).succeeds_silently();
    assert_eq!(lab.vrfs(), []);
    let nameless = conf(json!({"vrfname": 7}));
    lab.run("DEL", "eth0", &nameless).succeeds_silently();
}

#[test]
fn gc_and_status_have_nothing_to_do() {
    let Some(lab) = lab() else { return };
    lab.add("eth0", json!({}));
    let before = lab.snapshot();
    lab.vrf.gc(&conf(json!({})), &[]).succeeds_silently();
    lab.vrf.status(&conf(json!({}))).succeeds_silently();
    lab.vrf.status(&conf(json!({"vrfname": ""}))).fails_with(7);
    lab.snapshot().assert_same_as(&before);
}
