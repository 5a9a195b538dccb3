//! loopback on a real kernel, called as a runtime calls it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use netloom_testkit::{Host, Plugin, PluginDir, Pod};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_netloom-plugins");

fn conf(version: &str) -> Value {
    json!({"cniVersion": version, "name": "lo-net", "type": "loopback"})
}

fn sandbox(pod: &Pod) -> &str {
    pod.path().to_str().unwrap()
}

fn is_up(pod: &Pod) -> bool {
    pod.ip("-br link show dev lo").contains("UP")
}

fn has_ipv6() -> bool {
    netloom_testkit::probe::has_ipv6()
}

#[test]
fn lo_goes_up_and_down_again() {
    let Some(host) = Host::new() else { return };
    let (pod, bin) = (host.pod("one"), PluginDir::of(PROGRAM));
    let loopback = Plugin::ours(&bin, "loopback");
    assert!(!is_up(&pod));

    let result = loopback.add(&conf("1.1.0"), &pod).succeeds();
    assert!(is_up(&pod) && pod.pings([127, 0, 0, 1]));
    let mut ips = vec![json!({"address": "127.0.0.1/8", "interface": 0})];
    if has_ipv6() {
        ips.push(json!({"address": "::1/128", "interface": 0}));
    }
    let lo = json!({"name": "lo", "mac": "00:00:00:00:00:00", "sandbox": sandbox(&pod)});
    assert_eq!(
        result,
        json!({"cniVersion": "1.1.0", "interfaces": [lo], "ips": ips})
    );

    loopback
        .check(&conf("1.1.0"), &result, &pod)
        .succeeds_silently();
    // What it did once it can do again.
    assert_eq!(loopback.add(&conf("1.1.0"), &pod).succeeds(), result);

    for _ in 0..2 {
        loopback.del(&conf("1.1.0"), &pod).succeeds_silently();
        assert!(!is_up(&pod));
    }
    let error = loopback
        .check(&conf("1.1.0"), &result, &pod)
        .fails_with(999);
    error.names(&["loopback interface is down"]);
}

#[test]
fn the_result_has_the_shape_of_each_version() {
    let Some(host) = Host::new() else { return };
    let (pod, bin) = (host.pod("one"), PluginDir::of(PROGRAM));
    let loopback = Plugin::ours(&bin, "loopback");
    for version in ["0.1.0", "0.2.0"] {
        let result = loopback.add(&conf(version), &pod).succeeds();
        assert_eq!(result["cniVersion"], version);
        assert_eq!(result["ip4"]["ip"], "127.0.0.1/8");
        assert_eq!(result["dns"], json!({}));
        assert!(
            result.get("interfaces").is_none() && result.get("ips").is_none(),
            "{result}"
        );
    }
    for version in ["0.3.0", "0.3.1", "0.4.0"] {
        let result = loopback.add(&conf(version), &pod).succeeds();
        let address = json!({"version": "4", "interface": 0, "address": "127.0.0.1/8"});
        assert_eq!(
            (&result["cniVersion"], &result["ips"][0]),
            (&json!(version), &address)
        );
        assert_eq!(result["dns"], json!({}));
    }
    let result = loopback.add(&conf("1.0.0"), &pod).succeeds();
    assert!(
        result["ips"][0].get("version").is_none() && result.get("dns").is_none(),
        "{result}"
    );
}

#[test]
fn the_interface_name_is_ignored() {
    let Some(host) = Host::new() else { return };
    let (pod, bin) = (host.pod("one"), PluginDir::of(PROGRAM));
    let loopback = Plugin::ours(&bin, "loopback");
    let call = loopback
        .call("ADD", &conf("1.0.0"))
        .pod(&pod)
        .env("CNI_IFNAME", "wlan9");
    assert_eq!(call.run().succeeds()["interfaces"][0]["name"], "lo");
}

#[test]
fn a_previous_result_passes_through_with_everything_in_it() {
    let Some(host) = Host::new() else { return };
    let (pod, bin) = (host.pod("one"), PluginDir::of(PROGRAM));
    let mut conf = conf("1.0.0");
    conf["prevResult"] = json!({
        "cniVersion": "1.0.0", "interfaces": [{"name": "eth0"}],
        "ips": [{"address": "10.1.0.5/16"}], "x-vendor": {"a": 1},
    });
    let result = Plugin::ours(&bin, "loopback").add(&conf, &pod).succeeds();
    assert_eq!(result, conf["prevResult"]);
    assert!(is_up(&pod));
}

#[test]
fn a_foreign_address_on_lo_fails_the_add_and_leaves_lo_as_it_was() {
    let Some(host) = Host::new() else { return };
    let (pod, bin) = (host.pod("one"), PluginDir::of(PROGRAM));
    pod.ip("address add 10.9.9.9/32 dev lo");
    let error = Plugin::ours(&bin, "loopback")
        .add(&conf("1.0.0"), &pod)
        .fails_with(999);
    error.names(&["loopback interface found with non-loopback address 10.9.9.9/32"]);
    assert!(!is_up(&pod), "lo was down before the ADD");
}

#[test]
fn a_namespace_that_is_gone_is_an_error_for_add_and_none_for_del() {
    let Some(host) = Host::new() else { return };
    let bin = PluginDir::of(PROGRAM);
    let loopback = Plugin::ours(&bin, "loopback");
    let (plain, gone) = (host.pod("plain"), host.pod("gone"));
    plain.unmount();
    gone.remove();
    for pod in [&plain, &gone] {
        let error = loopback.add(&conf("1.0.0"), pod).fails_with(8);
        error.names(&["failed to open netns", sandbox(pod)]);
        loopback.del(&conf("1.0.0"), pod).succeeds_silently();
    }
    let call = loopback
        .call("DEL", &conf("1.0.0"))
        .pod(&gone)
        .without("CNI_NETNS");
    call.run().succeeds_silently();
}

#[test]
fn aimed_at_the_namespace_of_the_host_its_lo_stays_up() {
    let Some(host) = Host::new() else { return };
    let (pod, bin) = (host.pod("one"), PluginDir::of(PROGRAM));
    let loopback = Plugin::ours(&bin, "loopback");
    let call = |command| {
        let call = loopback.call(command, &conf("1.0.0")).pod(&pod);
        call.env("CNI_NETNS", host.netns_path()).run()
    };
    call("ADD").fails_with(8);
    call("DEL").succeeds_silently();
    assert!(host.ip("-br link show dev lo").contains("UP"));
}

#[test]
fn lo_bears_its_container_as_alias_until_del_and_no_alias_of_others_is_touched() {
    let Some(host) = Host::new() else { return };
    let (pod, bin) = (host.pod("one"), PluginDir::of(PROGRAM));
    let loopback = Plugin::ours(&bin, "loopback");
    let shown = || pod.ip("link show dev lo");
    loopback.add(&conf("1.0.0"), &pod).succeeds();
    assert!(shown().contains("alias cni:id-of-one"));
    // A pod of another container at this path.
    let other = loopback.call("DEL", &conf("1.0.0")).pod(&pod);
    other
        .env("CNI_CONTAINERID", "other")
        .run()
        .succeeds_silently();
    assert!(is_up(&pod) && shown().contains("alias cni:id-of-one"));
    loopback.del(&conf("1.0.0"), &pod).succeeds_silently();
    assert!(!is_up(&pod) && !shown().contains("alias"));

    pod.ip("link set lo alias mine");
    loopback.add(&conf("1.0.0"), &pod).succeeds();
    loopback.del(&conf("1.0.0"), &pod).succeeds_silently();
    assert!(!is_up(&pod) && shown().contains("alias mine"));
}
