//! The reference's flannel is no part of Debian's package. What it does is little, and done here:
//! it saves the rendered configuration under the container's id and calls the delegate with it.

use crate::lab::{DATA, conf, lab, names, reserved};
use netloom_testkit::{Call, Plugin, Pod};
use serde_json::json;
use std::fs;

/// The reference's delegate, called with what flannel hands it.
fn go(command: &str, pod: &Pod, conf: &[u8]) -> Call {
    let bridge = Plugin::debian("bridge").unwrap();
    bridge.call(command, &json!({})).pod(pod).stdin(conf)
}

#[test]
fn go_deletes_what_netloom_saved() {
    if Plugin::debian("bridge").is_none() {
        return;
    }
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let before = lab.snapshot(&[]);
    let conf = conf(json!({"cniVersion": "1.0.0"}));
    lab.flannel.add(&conf, &pod).succeeds();
    let saved = fs::read(format!("{DATA}/id-of-one")).unwrap();
    go("DEL", &pod, &saved).run().succeeds_silently();
    fs::remove_file(format!("{DATA}/id-of-one")).unwrap();
    assert_eq!(reserved(), [""; 0]);
    assert!(!pod.ip("link").contains("eth0"));
    // For netloom there is nothing left to do then.
    lab.flannel.del(&conf, &pod).succeeds_silently();
    lab.snapshot(&[]).assert_same_as(&before);
}

#[test]
fn netloom_deletes_and_checks_what_go_saved() {
    if Plugin::debian("bridge").is_none() {
        return;
    }
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let before = lab.snapshot(&[]);
    // As encoding/json prints a map: compact, the keys in order.
    let rendered = br#"{"cniVersion":"1.0.0","ipMasq":true,"ipam":{"ranges":[[{"subnet":"10.244.3.0/24"}]],"routes":[{"dst":"10.244.0.0/16"}],"type":"host-local"},"isGateway":true,"mtu":1450,"name":"cbr0","type":"bridge"}"#;
    fs::create_dir_all(DATA).unwrap();
    fs::write(format!("{DATA}/id-of-one"), rendered).unwrap();
    let result = go("ADD", &pod, rendered).run().succeeds();
    let conf = conf(json!({"cniVersion": "1.0.0"}));
    lab.flannel.check(&conf, &result, &pod).succeeds_silently();
    lab.flannel
        .del_with(&conf, &result, &pod)
        .succeeds_silently();
    assert_eq!((reserved().len(), names(DATA).len()), (0, 0));
    lab.snapshot(&[]).assert_same_as(&before);
}

#[test]
fn go_s_plugins_serve_as_delegates() {
    if Plugin::debian("bridge").is_none() {
        return;
    }
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let before = lab.snapshot(&[]);
    let conf = conf(json!({"cniVersion": "1.0.0"}));
    let with_go = |command: &str, conf| {
        let call = lab.call(command, &pod, "eth0", conf);
        call.env("CNI_PATH", "/usr/lib/cni").run()
    };
    let result = with_go("ADD", &conf).succeeds();
    assert!(pod.pings([10, 244, 3, 1]));
    let mut later = conf.clone();
    later["prevResult"] = result;
    // Its CHECK does not find routes without a gateway of their own, which flannel's are.
    with_go("CHECK", &later).fails().names(&["10.244.0.0"]);
    with_go("DEL", &later).succeeds_silently();
    assert_eq!((reserved().len(), names(DATA).len()), (0, 0));
    lab.snapshot(&[]).assert_same_as(&before);
}
