use crate::support::{Lab, buses, conf};
use serde_json::json;

#[test]
fn bad_requests_are_refused_by_key_and_value_and_change_nothing() {
    let Some(lab) = Lab::new() else { return };
    buses(&lab.host);
    let pod = lab.host.pod("one");
    let before = lab.snapshot(&[&pod]);
    let other = |key: &str, value: serde_json::Value| json!({"device": null, key: value});
    let path = "must be absolute and begin with /sys/devices/";
    for (keys, code, words) in [
        (
            json!({"device": null}),
            7,
            ["specify either", "\"pciBusID\""],
        ),
        (
            json!({"device": "nic9"}),
            999,
            ["failed to find host device", "nic9"],
        ),
        (json!({"device": ["nic0"]}), 6, ["device", "string"]),
        (json!({"device": "lo"}), 999, ["failed to move", "\"lo\""]),
        (
            other("hwaddr", json!("nic0")),
            7,
            ["failed to parse MAC address", "nic0"],
        ),
        (
            other("hwaddr", json!("02:00:00:00:00:99")),
            999,
            ["failed to find physical interface", "02:00:00:00:00:99"],
        ),
        (
            other("kernelpath", json!("/sys/class/net/nic0")),
            7,
            [path, "/sys/class/net/nic0"],
        ),
        (
            other("kernelpath", json!("/sys/devices/virtual/../net")),
            7,
            [path, ".."],
        ),
        (
            other("kernelpath", json!("/sys/devices/virtual/nothing")),
            999,
            ["no net directory under", "/sys/devices/virtual/nothing"],
        ),
        (
            other("pciBusID", json!("0000:00:08.0")),
            999,
            ["0000:00:08.0", "no driver"],
        ),
        (
            other("pciBusID", json!("../../pci")),
            7,
            ["pciBusID", "../../pci"],
        ),
        (
            other("runtimeConfig", json!({"deviceID": "0000:0f:05.0"})),
            999,
            [
                "runtime config DeviceID 0000:0f:05.0",
                "not found or unsupported",
            ],
        ),
        (
            json!({"ipam": {"type": "../x"}}),
            7,
            ["invalid plugin name", "../x"],
        ),
    ] {
        let error = lab.plugin.add(&conf(keys.clone()), &pod).fails();
        error.names(&words);
        assert_eq!(error.code, code, "{keys}: {}", error.text());
        lab.snapshot(&[&pod]).assert_same_as(&before);
    }
    pod.unmount();
    let error = lab.plugin.add(&conf(json!({})), &pod).fails_with(8);
    error.names(&["failed to open netns", "/run/netns/one"]);
}

#[test]
fn a_bad_configuration_does_not_keep_del_from_bringing_the_device_back() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    lab.plugin.add(&conf(json!({})), &pod).succeeds();
    let bad = conf(json!({"hwaddr": 7, "pciBusID": 5, "runtimeConfig": {"deviceID": "gone"}}));
    let call = lab.plugin.call("DEL", &bad).pod(&pod);
    call.env("CNI_ARGS", "FOO;;").run().succeeds_silently();
    lab.assert_returned("bad configuration");
}
