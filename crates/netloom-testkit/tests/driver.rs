//! The black-box driver, proved on Debian's Go plugins.

use netloom_testkit::{Call, Host, Plugin};
use serde_json::{Value, json};

fn conf() -> Value {
    json!({
        "cniVersion": "1.0.0", "name": "net", "type": "bridge", "bridge": "cni0",
        "isGateway": true,
        "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"}
    })
}

#[test]
fn debians_bridge_adds_checks_and_deletes_a_pod() {
    let Some(host) = Host::new() else { return };
    let Some(bridge) = Plugin::debian("bridge") else {
        return;
    };
    let pod = host.pod("one");
    let result = bridge.add(&conf(), &pod).succeeds();
    assert_eq!(result["ips"][0]["address"], "10.9.0.2/24");
    assert_eq!(result["interfaces"][2]["sandbox"], "/run/netns/one");
    assert!(pod.pings([10, 9, 0, 1]));
    bridge.check(&conf(), &result, &pod).succeeds_silently();
    pod.ip("addr flush dev eth0");
    bridge.check(&conf(), &result, &pod).fails_with(999);
    bridge.del(&conf(), &pod).succeeds_silently();
    bridge.del_with(&conf(), &result, &pod).succeeds_silently();
    assert_eq!(pod.ip("-br link").lines().count(), 1);
}

#[test]
fn a_failed_call_gives_its_error_object() {
    let Some(host) = Host::new() else { return };
    let Some(bridge) = Plugin::debian("bridge") else {
        return;
    };
    let pod = host.pod("one");
    let call = bridge.call("ADD", &conf()).pod(&pod).without("CNI_IFNAME");
    call.run().fails_with(4).names(&["CNI_IFNAME"]);
    let call = bridge.call("ADD", &conf()).pod(&pod).stdin("{");
    call.run().fails_with(6);
    let versions = bridge.version().succeeds();
    assert!(
        versions["supportedVersions"]
            .as_array()
            .unwrap()
            .contains(&json!("1.0.0"))
    );
}

#[test]
fn nothing_of_the_tests_environment_leaks_into_a_call() {
    let out = Call::new("/usr/bin/env").env("CNI_X", "1").run();
    let mut names: Vec<_> = out
        .stdout
        .lines()
        .filter_map(|l| l.split('=').next())
        .collect();
    names.retain(|name| *name != "HOME");
    assert_eq!(names, ["CNI_X", "PATH"]);
}

#[test]
fn a_call_reads_and_writes_more_than_a_pipe_holds() {
    let input = "x".repeat(1 << 20);
    let out = Call::new("/bin/cat").stdin(input.clone()).run();
    assert!(out.is_success());
    assert_eq!(out.stdout.len(), input.len());
    assert!(Call::new("/bin/true").stdin(input).run().is_success());
}
