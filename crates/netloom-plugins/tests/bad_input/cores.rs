//! The words that runtimes know errors of the reference plugins by, at the beginning.

use netloom_testkit::{Host, Plugin, PluginDir};
use serde_json::{Value, json};

/// A plugin, what its configuration has, and how the reference's message begins.
type Refusal = (&'static str, Value, &'static str);

#[test]
fn errors_begin_with_the_words_of_the_reference() {
    let Some(host) = Host::new() else { return };
    let pod = host.pod("one");
    pod.ip("link add eth0 type veth peer name other");
    let bin = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
    let chained = json!({"cniVersion": "1.0.0", "interfaces": [
        {"name": "eth0", "sandbox": pod.path()}
    ]});
    let absent = "open /proc/sys/net/ipv4/nope: no such file or directory";
    let sysctl = json!({"sysctl": {"net.ipv4.nope": "1"}, "prevResult": chained});
    let call = |command: &str, (name, keys, core): &Refusal| {
        let mut conf = json!({"cniVersion": "1.0.0", "name": "net", "type": name});
        for (key, value) in keys.as_object().unwrap() {
            conf[key] = value.clone();
        }
        let plugin = Plugin::ours(&bin, name);
        let error = plugin.call(command, &conf).pod(&pod).run().fails();
        assert!(
            error.msg.starts_with(core),
            "{name}: {command}: {}",
            error.msg
        );
    };
    let ipam = json!({"type": "static", "addresses": [{"address": "10.1.0.2/24"}]});
    let on_nope = json!({"master": "nope", "vlanId": 3, "ipam": ipam});
    let lookup = "failed to lookup master \"nope\": Link not found";
    let lack = "Required prevResult missing";
    let mac = json!({"runtimeConfig": {"mac": "zz:00"}, "ipam": ipam});
    let refusals: [Refusal; 16] = [
        (
            "portmap",
            json!({"runtimeConfig": {"portMappings": [{"hostPort": 1, "containerPort": 1, "protocol": "tcp"}]}}),
            "must be called as chained plugin",
        ),
        (
            "bandwidth",
            json!({"ingressRate": 1000, "ingressBurst": 1000}),
            "must be called as chained plugin",
        ),
        ("tuning", json!({"mtu": 1400}), lack),
        (
            "sbr",
            json!({}),
            "This plugin must be called as chained plugin",
        ),
        (
            "firewall",
            json!({}),
            "missing prevResult from earlier plugin",
        ),
        (
            "vrf",
            json!({"vrfname": "red"}),
            "missing prevResult from earlier plugin",
        ),
        ("bridge", mac.clone(), "address zz:00: invalid MAC address"),
        ("macvlan", mac, "address zz:00: invalid MAC address"),
        (
            "host-device",
            json!({"hwaddr": "zz:00"}),
            "failed to find host device: failed to parse MAC address \"zz:00\": address zz:00: invalid MAC address",
        ),
        ("tuning", sysctl.clone(), absent),
        ("macvlan", on_nope.clone(), lookup),
        ("ipvlan", on_nope.clone(), lookup),
        ("vlan", on_nope, lookup),
        (
            "host-device",
            json!({"device": "nope"}),
            "failed to find host device",
        ),
        (
            "bridge",
            json!({"bridge": "a-very-long-name"}),
            "failed to create bridge \"a-very-long-name\": could not add \"a-very-long-name\"",
        ),
        (
            "bridge",
            json!({"bridge": "lo"}),
            "failed to create bridge \"lo\": \"lo\" already exists but is not a bridge",
        ),
    ];
    for refusal in &refusals {
        call("ADD", refusal);
        // All but one of the chained need an interface that others must not find.
        if refusal.0 == "vrf" {
            pod.ip("link del eth0");
        }
    }
    for refusal in [
        ("tuning", sysctl, absent),
        ("tuning", json!({}), lack),
        (
            "firewall",
            json!({}),
            "missing prevResult from earlier plugin",
        ),
        (
            "vrf",
            json!({"vrfname": "red"}),
            "missing prevResult from earlier plugin",
        ),
        ("bridge", json!({}), lack),
    ] {
        call("CHECK", &refusal);
    }
    for name in ["bridge", "portmap", "host-local", "loopback"] {
        let plugin = Plugin::ours(&bin, name);
        let call = plugin.call("ADD", &json!({})).pod(&pod);
        let error = call
            .stdin(&b"{\"cniVersion\": \"1.0.0\","[..])
            .run()
            .fails_with(6);
        let core = "error unmarshall network config: ";
        assert!(error.msg.starts_with(core), "{name}: {}", error.msg);
        let conf = json!({"cniVersion": "1.0.0", "name": "net", "type": name, "ipam": 7});
        let error = plugin.call("ADD", &conf).pod(&pod).run().fails_with(6);
        error.names(&["ipam: expected an object, got 7"]);
    }
    let conf = json!({"cniVersion": "1.0.0", "name": "net", "type": "bridge", "mtu": "x"});
    let error = Plugin::ours(&bin, "bridge").add(&conf, &pod).fails_with(6);
    assert!(
        error.msg.starts_with("failed to load netconf: mtu: "),
        "{}",
        error.msg
    );
}
