use crate::support::{Lab, MAC, bare, buses, conf};
use serde_json::json;

#[test]
fn a_missing_device_is_reported_and_one_in_use_is_not() {
    let other = |key: &str, value: serde_json::Value| json!({"device": null, key: value});
    for (keys, missing) in [
        (json!({}), json!({"device": "nic9"})),
        (
            other("hwaddr", json!(MAC)),
            other("hwaddr", json!("02:00:00:00:00:99")),
        ),
        (
            other("kernelpath", json!("/sys/devices/virtual/card")),
            other("kernelpath", json!("/sys/devices/virtual/none")),
        ),
        (
            other("pciBusID", json!("0000:00:05.0")),
            other("pciBusID", json!("0000:00:0f.0")),
        ),
        (
            other("pciBusID", json!("0000:00:07.0")),
            other("pciBusID", json!("0000:00:08.0")),
        ),
    ] {
        let Some(lab) = Lab::new() else { return };
        buses(&lab.host);
        let pod = lab.host.pod("one");
        lab.plugin.status(&bare(keys.clone())).succeeds_silently();
        lab.plugin.add(&bare(keys.clone()), &pod).succeeds();
        lab.plugin.status(&bare(keys)).succeeds_silently();
        let error = lab.plugin.status(&bare(missing.clone())).fails_with(50);
        let value = missing.as_object().unwrap().values().next_back().unwrap();
        error.names(&[value.as_str().unwrap_or("0000")]);
    }
}

#[test]
fn a_device_that_is_gone_with_its_container_is_missing() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    lab.plugin.add(&bare(json!({})), &pod).succeeds();
    pod.ip("link del eth0");
    let error = lab.plugin.status(&bare(json!({}))).fails_with(50);
    error.names(&["nic0", "neither on the host nor lent"]);
}

#[test]
fn a_device_that_only_the_runtime_knows_is_not_asked_for() {
    let Some(lab) = Lab::new() else { return };
    lab.plugin
        .status(&bare(json!({"device": null})))
        .succeeds_silently();
}

#[test]
fn the_ipam_plugin_is_asked_as_well() {
    let Some(lab) = Lab::new() else { return };
    lab.plugin.status(&conf(json!({}))).succeeds_silently();
    let ipam = json!({"type": "nosuch"});
    let error = lab.plugin.status(&conf(json!({"ipam": ipam}))).fails();
    error.names(&["failed to find plugin", "nosuch"]);
    let bad = lab
        .plugin
        .status(&bare(json!({"device": null, "hwaddr": "x"})));
    bad.fails_with(7).names(&["hwaddr", "\"x\""]);
}
