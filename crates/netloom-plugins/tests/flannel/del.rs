//! DEL, whatever is left of the pod, of flanneld and of the saved configuration.

use crate::lab::{DATA, ENV, Lab, conf, lab, names, reserved};
use netloom_testkit::Pod;
use serde_json::{Value, json};
use std::fs;

fn del_twice(lab: &Lab, pod: &Pod, prev_result: &Value, netns: &str) {
    let mut request = conf(json!({}));
    if !prev_result.is_null() {
        request["prevResult"] = prev_result.clone();
    }
    for _ in 0..2 {
        let call = lab.call("DEL", pod, "eth0", &request);
        call.env("CNI_NETNS", netns).run().succeeds_silently();
    }
}

#[test]
fn del_frees_everything_whatever_is_left_of_the_pod() {
    type Ruin = (&'static str, &'static str, fn(&Pod));
    let ruins: [Ruin; 5] = [
        ("whole", "/run/netns/one", |_| {}),
        ("no netns told", "", |pod| pod.remove()),
        ("netns gone", "/run/netns/one", |pod| pod.remove()),
        ("not a netns", "/run/netns/one", |pod| pod.unmount()),
        ("link gone", "/run/netns/one", |pod| {
            drop(pod.ip("link del eth0"))
        }),
    ];
    for (what, netns, ruin) in ruins {
        for kind in ["with", "without", "unreadable"] {
            let Some(lab) = lab() else { return };
            let pod = lab.host.pod("one");
            let result = match (kind, lab.add(&pod)) {
                ("with", result) => result,
                ("without", _) => Value::Null,
                _ => json!({"cniVersion": "1.1.0", "ips": "none"}),
            };
            ruin(&pod);
            del_twice(&lab, &pod, &result, netns);
            assert_eq!(reserved(), [""; 0], "{what}, {kind} result");
            assert_eq!(names(DATA), [""; 0], "{what}, {kind} result");
        }
    }
}

#[test]
fn del_needs_neither_flanneld_nor_a_configuration_that_add_would_take() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    lab.add(&pod);
    fs::remove_file(ENV).unwrap();
    let bad = conf(json!({"delegate": {"name": "x"}, "subnetFile": 7}));
    lab.flannel.del(&bad, &pod).succeeds_silently();
    assert_eq!((reserved().len(), names(DATA).len()), (0, 0));
}

#[test]
fn del_calls_the_delegate_with_the_subnet_of_its_add() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let keys = json!({"ipam": {"dataDir": "/run/old"}});
    lab.flannel.add(&conf(keys), &pod).succeeds();
    let text = fs::read_to_string(ENV).unwrap();
    fs::write(ENV, text.replace("244.3.1", "244.4.1")).unwrap();
    lab.del(&pod).succeeds_silently();
    assert_eq!(names("/run/old/cbr0"), [""; 0]);
}

#[test]
fn del_without_a_saved_configuration_succeeds_and_calls_nobody() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    lab.add(&pod);
    fs::remove_file(format!("{DATA}/id-of-one")).unwrap();
    lab.del(&pod).succeeds_silently();
    assert!(pod.ip("link").contains("eth0"));
}

#[test]
fn a_damaged_file_is_made_up_for_by_what_an_add_would_use_now() {
    for damage in ["", "{\"cniVersion\": \"1.1", "[]", "{}"] {
        let Some(lab) = lab() else { return };
        let pod = lab.host.pod("one");
        lab.add(&pod);
        fs::write(format!("{DATA}/id-of-one"), damage).unwrap();
        lab.del(&pod).succeeds_silently();
        assert_eq!((reserved().len(), names(DATA).len()), (0, 0), "{damage:?}");

        lab.add(&pod);
        fs::write(format!("{DATA}/id-of-one"), damage).unwrap();
        fs::remove_file(ENV).unwrap();
        let outcome = lab.del(&pod);
        outcome.succeeds_silently();
        assert!(
            outcome.stderr.contains("id-of-one is no configuration"),
            "{outcome}"
        );
        assert_eq!((reserved().len(), names(DATA).len()), (2, 0));
    }
}

#[test]
fn del_leaves_the_file_of_another_network_and_of_another_interface() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    lab.add(&pod);
    let other = conf(json!({"name": "other"}));
    lab.flannel.del(&other, &pod).succeeds_silently();
    let net1 = lab.call("DEL", &pod, "net1", &conf(json!({})));
    net1.run().succeeds_silently();
    assert_eq!(names(DATA), ["id-of-one"]);
    assert_eq!(reserved().len(), 2);
}
