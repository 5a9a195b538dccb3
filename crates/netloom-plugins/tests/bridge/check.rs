use crate::support::{Lab, host_veth};
use netloom_testkit::Pod;
use serde_json::{Value, json};

/// A pod with everything that CHECK looks at.
fn attached(lab: &Lab) -> (Pod, Value, Value) {
    let ips = json!([{"address": "10.1.0.5/24"}, {"address": "fd00:1::5/64"}]);
    lab.ipam
        .answers(json!({"ips": ips, "routes": [{"dst": "192.0.2.0/24"}]}));
    let pod = lab.host.pod("one");
    let conf = lab.routed(json!({
        "isDefaultGateway": true, "hairpinMode": true, "portIsolation": true, "mtu": 1400,
    }));
    let result = lab.bridge.add(&conf, &pod).succeeds();
    lab.bridge.check(&conf, &result, &pod).succeeds_silently();
    (pod, conf, result)
}

#[test]
fn drift_in_the_pod_is_found() {
    for (command, names) in [
        (
            "addr del 10.1.0.5/24 dev eth0",
            "Failed to match addr 10.1.0.5/24 on interface eth0",
        ),
        ("addr del fd00:1::5/64 dev eth0", "fd00:1::5/64"),
        ("route del 192.0.2.0/24", "Expected Route 192.0.2.0/24"),
        ("route del default", "0.0.0.0/0"),
        ("-6 route del default", "::/0"),
        ("link set eth0 down", "eth0"),
        ("link set eth0 address 02:00:00:00:00:77", "doesn't match"),
        ("link del eth0", "eth0 not found"),
        ("route replace default via 10.1.0.9", "0.0.0.0/0"),
    ] {
        let Some(lab) = Lab::new() else { return };
        let (pod, conf, result) = attached(&lab);
        pod.ip(command);
        lab.bridge
            .check(&conf, &result, &pod)
            .fails()
            .names(&[names]);
    }
}

#[test]
fn drift_on_the_host_is_found() {
    for (command, names) in [
        ("link set VETH nomaster", "was not found"),
        ("link set VETH down", "is down"),
        ("link set VETH mtu 1300", "mtu 1300"),
        ("link set VETH address 02:00:00:00:00:77", "doesn't match"),
        (
            "link set VETH type bridge_slave hairpin off",
            "hairpin mode",
        ),
        (
            "link set VETH type bridge_slave isolated off",
            "port isolation",
        ),
        ("link set br0 address 02:00:00:00:00:77", "br0"),
        ("link set br0 promisc on", "promisc"),
        ("link set br0 down", "br0 is down"),
        (
            "addr del 10.1.0.1/24 dev br0",
            "Failed to find Gateway 10.1.0.1",
        ),
        ("link del br0", "CNI created bridge br0"),
    ] {
        let Some(lab) = Lab::new() else { return };
        let (pod, conf, result) = attached(&lab);
        lab.host.ip(&command.replace("VETH", &host_veth(&result)));
        lab.bridge
            .check(&conf, &result, &pod)
            .fails()
            .names(&[names]);
    }
}

#[test]
fn what_later_plugins_of_the_chain_do_is_no_drift() {
    let Some(lab) = Lab::new() else { return };
    let (pod, conf, mut result) = attached(&lab);
    // tuning
    pod.ip("link set eth0 mtu 1350");
    // sbr
    pod.ip("route add default via 10.1.0.1 dev eth0 table 100");
    pod.ip("route del default");
    pod.ip("route add 10.1.0.0/24 dev eth0 table 100");
    pod.ip("route del 10.1.0.0/24 dev eth0");
    // a plugin that adds an interface of its own
    result["interfaces"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "eth1", "sandbox": "/elsewhere"}));
    result["ips"]
        .as_array_mut()
        .unwrap()
        .push(json!({"address": "172.16.0.1/24", "interface": 3}));
    lab.bridge.check(&conf, &result, &pod).succeeds_silently();
}

#[test]
fn a_missing_or_foreign_result_is_refused() {
    let Some(lab) = Lab::new() else { return };
    let (pod, conf, mut result) = attached(&lab);
    let none = lab.bridge.call("CHECK", &conf).pod(&pod).run();
    none.fails().names(&["Required prevResult missing"]);
    result["interfaces"][2]["sandbox"] = json!("/run/netns/other");
    let error = lab.bridge.check(&conf, &result, &pod).fails();
    error.names(&["Sandbox in prevResult /run/netns/other doesn't match configured netns"]);
    result["interfaces"][2]["name"] = json!("eth7");
    lab.bridge
        .check(&conf, &result, &pod)
        .fails()
        .names(&["eth0"]);
}
