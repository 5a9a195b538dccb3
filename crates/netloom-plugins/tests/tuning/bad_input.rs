use crate::support::{Lab, conf};
use serde_json::{Value, json};

#[test]
fn bad_requests_are_refused_by_key_and_value_and_change_nothing() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod("one");
    lab.host.sh("touch /run/file");
    let before = lab.snapshot(&[&pod]);
    let sysctl = |key: &str| json!({"mtu": 1400, "sysctl": {key: "1"}});
    let net = "invalid net sysctl key";
    for (keys, code, words) in [
        (json!({"mac": "02:00"}), 7, ["invalid MAC address", "02:00"]),
        (
            json!({"mac": "01:00:5e:00:00:01"}),
            7,
            ["unicast", "01:00:5e:00:00:01"],
        ),
        (json!({"mac": 7}), 6, ["mac", "7"]),
        (json!({"mtu": -1}), 7, ["invalid mtu", "-1"]),
        (json!({"mtu": 30}), 999, ["mtu 30", "eth0"]),
        (json!({"mtu": 70000}), 999, ["mtu 70000", "eth0"]),
        (json!({"mtu": "1400"}), 6, ["mtu", "1400"]),
        (json!({"txQLen": -1}), 7, ["invalid txQLen", "-1"]),
        (json!({"promisc": "on"}), 6, ["promisc", "on"]),
        (json!({"allmulti": 1}), 6, ["allmulti", "1"]),
        (json!({"sysctl": ["net.a"]}), 6, ["sysctl", "array"]),
        (
            json!({"sysctl": {"net.core.somaxconn": 5}}),
            6,
            ["net.core.somaxconn", "5"],
        ),
        (
            json!({"sysctl": {"net.core.somaxconn": ""}}),
            7,
            ["net.core.somaxconn", "no value"],
        ),
        (sysctl("kernel.hostname"), 7, [net, "kernel.hostname"]),
        (
            sysctl("net/../kernel/hostname"),
            999,
            ["net/../kernel/hostname", "no such file"],
        ),
        (sysctl("../../etc/passwd"), 7, [net, "../../etc/passwd"]),
        (
            sysctl("net.//.kernel.hostname"),
            999,
            ["net.//.kernel.hostname", "no such file"],
        ),
        (
            sysctl("net.ipv4.nosuch"),
            999,
            ["net.ipv4.nosuch", "no such file"],
        ),
        (sysctl("net.ipv4"), 999, ["net.ipv4", "directory"]),
        (
            json!({"mtu": 1400, "sysctl": {"net.ipv4.tcp_sack": "7", "net.ipv4.tcp_timestamps": "x"}}),
            999,
            ["net/ipv4/tcp_", "Invalid argument"],
        ),
        (
            json!({"mtu": 1400, "dataDir": "/run/file"}),
            5,
            ["dataDir", "/run/file"],
        ),
        (
            json!({"args": {"cni": {"mac": "zz"}}}),
            7,
            ["invalid MAC address", "zz"],
        ),
        (
            json!({"runtimeConfig": {"mac": "zz"}}),
            7,
            ["invalid MAC address", "zz"],
        ),
        (
            json!({"prevResult": null}),
            7,
            ["Required prevResult missing", "prevResult"],
        ),
        (
            json!({"prevResult": {"cniVersion": "1.1.0", "ips": 5}}),
            6,
            ["prevResult", "ips"],
        ),
    ] {
        let error = lab.plugin.add(&conf(keys.clone()), &pod).fails();
        error.names(&words);
        assert_eq!(error.code, code, "{keys}: {}", error.text());
        lab.snapshot(&[&pod]).assert_same_as(&before);
    }
}

/// The kernel would take IPv6 from the link without a word.
#[test]
fn an_mtu_that_is_too_small_for_the_ipv6_address_of_the_pod_is_refused() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod("one");
    let mut small = conf(json!({"mtu": 1279}));
    lab.plugin.add(&small, &pod).succeeds();
    lab.plugin.del(&small, &pod).succeeds_silently();
    let before = lab.snapshot(&[&pod]);
    small["prevResult"]["ips"] = json!([{"address": "fd00:1::5/64", "interface": 1}]);
    let error = lab.plugin.add(&small, &pod).fails();
    error.names(&["1279", "fd00:1::5/64", "eth0"]);
    lab.snapshot(&[&pod]).assert_same_as(&before);
    small["mtu"] = json!(1280);
    lab.plugin.add(&small, &pod).succeeds();
    // Another interface's address does not matter.
    small["mtu"] = json!(1000);
    small["prevResult"]["interfaces"][0]["name"] = json!("net1");
    small["prevResult"]["ips"][0]["interface"] = json!(0);
    lab.plugin.add(&small, &pod).succeeds();
}

#[test]
fn a_duplicate_key_is_refused_in_whatever_place_and_spelling() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod("one");
    let before = lab.snapshot(&[&pod]);
    let with = |sysctl: &str| -> String {
        let conf = conf(json!({})).to_string();
        format!("{},{sysctl}}}", conf.strip_suffix('}').unwrap())
    };
    for sysctl in [
        r#""sysctl": {"net.core.somaxconn": "5", "net.core.somaxconn": "6"}"#,
        r#""sysctl": {"net.core.somaxconn": "5", "net/core/somaxconn": "5"}"#,
        r#""sysctl": {"net.core.somaxconn": "5"}, "SYSCTL": {"net.core.somaxconn": "5"}"#,
        r#""sysctl": {"net.ipv4.conf.eth0.arp_filter": "1", "net.ipv4.conf.IFNAME.arp_filter": "1"}"#,
    ] {
        for command in ["ADD", "CHECK"] {
            let call = lab.plugin.call(command, &Value::Null).pod(&pod);
            let error = call.stdin(with(sysctl)).run().fails_with(7);
            error.names(&["duplicated sysctl keys are not allowed"]);
        }
    }
    lab.snapshot(&[&pod]).assert_same_as(&before);
}

#[test]
fn a_bad_situation_is_named_and_left_as_it_is() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod("one");
    let before = lab.snapshot(&[&pod]);
    let all = conf(json!({"mtu": 1400, "sysctl": {"net.ipv4.tcp_sack": "0"}}));
    let add = lab.plugin.call("ADD", &all).pod(&pod);
    let error = add.clone().env("CNI_IFNAME", "net7").run().fails_with(999);
    error.names(&["failed to get \"net7\""]);
    let error = add.clone().env("CNI_ARGS", "FOO=1").run().fails_with(4);
    error.names(&["FOO=1"]);
    let error = add.clone().env("CNI_IFNAME", "a/b").run().fails_with(4);
    error.names(&["interface name"]);
    let error = add.env("CNI_NETNS", "/run/netns/gone").run().fails_with(8);
    error.names(&["failed to open netns", "/run/netns/gone"]);
    lab.snapshot(&[&pod]).assert_same_as(&before);
}

#[test]
fn one_of_many_sysctls_that_fails_takes_the_others_back() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod("one");
    let before = lab.snapshot(&[&pod]);
    let keys = json!({"mtu": 1400, "sysctl": {
        "net.ipv4.ip_forward": "1", "net.ipv4.conf.IFNAME.arp_filter": "1",
        "net.ipv4.ip_local_port_range": "nonsense"
    }});
    let error = lab.plugin.add(&conf(keys), &pod).fails();
    error.names(&["ip_local_port_range", "nonsense"]);
    lab.snapshot(&[&pod]).assert_same_as(&before);
}
