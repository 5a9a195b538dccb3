//! CHECK and STATUS.

use crate::lab::{Lab, lab, pair, primary, with};
use netloom_testkit::Pod;
use serde_json::{Value, json};
use std::fs;

/// Two pods that are linked, and the first one's configuration with the result of its ADD.
fn linked() -> Option<(Lab, Pod, Pod, Value)> {
    let lab = lab()?;
    let (one, two) = (lab.host.pod("primary"), lab.host.pod("pair"));
    lab.add(&two, &pair());
    let mut conf = primary();
    conf["prevResult"] = lab.add(&one, &primary());
    Some((lab, one, two, conf))
}

#[test]
fn check_finds_what_is_not_as_add_left_it() {
    let ruins: [(&str, &[&str]); 6] = [
        ("ip link set in1 down", &["in1"]),
        ("ip addr flush dev in1", &["192.168.2.100"]),
        ("ip link set in1 mtu 1400", &["mtu"]),
        (
            "ip link set in1 address 02:00:00:00:00:07",
            &["02:00:00:00:00:07"],
        ),
        ("ip link del in1", &["default/pair:in2", "not there"]),
        (
            "ip link set in1 down; ip link set in1 name x",
            &["in1", "called x"],
        ),
    ];
    for (ruin, words) in ruins {
        let Some((lab, one, _two, conf)) = linked() else {
            return;
        };
        lab.check(&one, &conf).succeeds_silently();
        one.sh(ruin);
        lab.check(&one, &conf).fails().names(words);
        // ADD mends it.
        lab.add(&one, &primary());
        lab.check(&one, &conf).succeeds_silently();
    }
}

#[test]
fn check_fails_for_another_pod_and_without_a_record() {
    let Some((lab, one, two, conf)) = linked() else {
        return;
    };
    let error = lab.call("CHECK", &one, &conf).env("CNI_NETNS", two.path());
    error
        .run()
        .fails()
        .names(&["/run/netns/primary", "/run/netns/pair"]);
    fs::remove_file(format!("{}/id-of-primary:eth0", crate::lab::STORE)).unwrap();
    lab.check(&one, &conf)
        .fails()
        .names(&["no record", "id-of-primary"]);
}

#[test]
fn a_link_that_is_not_up_yet_fails_check_only_if_it_is_required() {
    let Some((lab, one, two, mut conf)) = linked() else {
        return;
    };
    lab.del(&two, &pair());
    lab.check(&one, &conf).succeeds_silently();
    conf["required"] = json!(true);
    conf["wait"] = json!(1);
    let error = lab.check(&one, &conf).fails();
    error.names(&["default/pair:in2", "not attached"]);
}

#[test]
fn status_tells_a_store_that_cannot_be_and_a_delegate_that_is_not_ready() {
    let Some(lab) = lab() else { return };
    let status = |keys: Value| lab.ratchet.status(&with(keys));
    status(json!({})).succeeds_silently();
    fs::write("/run/plain", "").unwrap();
    let error = status(json!({"store": "file:/run/plain/x"})).fails_with(50);
    error.names(&["/run/plain"]);
    let flannel = json!({"delegate": {"type": "flannel"}});
    status(flannel).fails_with(50).names(&["subnet.env"]);
    status(json!({"wait": 99})).fails_with(7).names(&["wait"]);
}
