use crate::support::{Lab, conf};
use netloom_testkit::Pod;
use serde_json::{Value, json};

fn attached(lab: &Lab) -> (Pod, Value, Value) {
    let pod = lab.host.pod("one");
    let conf = conf(json!({}));
    let result = lab.plugin.add(&conf, &pod).succeeds();
    lab.plugin.check(&conf, &result, &pod).succeeds_silently();
    (pod, conf, result)
}

#[test]
fn drift_in_everything_that_add_made_is_named() {
    for (command, words) in [
        (
            "addr del 10.1.0.5/24 dev eth0",
            "Failed to match addr 10.1.0.5/24 on interface eth0",
        ),
        (
            "route del default",
            "Expected Route 0.0.0.0/0 via 10.1.0.1 not found",
        ),
        ("link set eth0 down", "eth0 is down"),
        (
            "link set eth0 address 02:00:00:00:00:77",
            "Interface eth0 Mac 02:00:00:00:00:70 doesn't match container Mac: 02:00:00:00:00:77",
        ),
        (
            "link set eth0 alias \"\"",
            "Interface eth0 has the alias \"\"",
        ),
        (
            "link set eth0 alias nic9",
            "alias \"nic9\" is not the device \"nic0\"",
        ),
        ("link set eth0 name other", "eth0 not found"),
        ("link del eth0", "eth0 not found"),
    ] {
        let Some(lab) = Lab::new() else { return };
        let (pod, conf, result) = attached(&lab);
        if command.contains(" name ") {
            pod.ip("link set eth0 down");
        }
        pod.ip(command);
        let error = lab.plugin.check(&conf, &result, &pod).fails();
        error.names(&[words]);
    }
}

#[test]
fn what_later_plugins_of_the_chain_do_is_no_drift() {
    let Some(lab) = Lab::new() else { return };
    let (pod, conf, result) = attached(&lab);
    pod.ip("link set eth0 mtu 1300");
    pod.ip("route add default via 10.1.0.1 dev eth0 table 100");
    pod.ip("route del default");
    pod.ip("route del 10.1.0.0/24 dev eth0");
    lab.plugin.check(&conf, &result, &pod).succeeds_silently();
}

#[test]
fn a_missing_or_foreign_result_is_refused() {
    let Some(lab) = Lab::new() else { return };
    let (pod, conf, mut result) = attached(&lab);
    let none = lab.plugin.call("CHECK", &conf).pod(&pod).run();
    none.fails().names(&["Required prevResult missing"]);
    result["interfaces"][0]["sandbox"] = json!("/run/netns/other");
    let error = lab.plugin.check(&conf, &result, &pod).fails();
    error.names(&["Sandbox in prevResult /run/netns/other doesn't match configured netns"]);
    result["interfaces"] = json!([]);
    let error = lab.plugin.check(&conf, &result, &pod).fails();
    error.names(&["eth0"]);
}

#[test]
fn the_ipam_plugin_is_asked_as_well() {
    let Some(lab) = Lab::new() else { return };
    let (pod, conf, result) = attached(&lab);
    lab.host.sh("rm /var/lib/cni/networks/net/10.1.0.5");
    let error = lab.plugin.check(&conf, &result, &pod).fails();
    error.names(&["host-local: Failed to find address 10.1.0.5 added by container"]);
}
