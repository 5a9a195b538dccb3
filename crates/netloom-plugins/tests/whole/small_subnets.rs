//! Pools of one or two addresses, all of which are pods'.

use netloom_testkit::{Host, Plugin, PluginDir, Pod, Uplink, probe};
use serde_json::{Value, json};
use std::net::IpAddr;

use crate::PROGRAM;

fn conf(kind: &str, name: &str, pool: &Value) -> Value {
    let mut ipam = json!({"type": "host-local"});
    for (key, value) in pool.as_object().unwrap() {
        ipam[key] = value.clone();
    }
    json!({
        "cniVersion": "1.1.0", "name": name, "type": kind, "bridge": "br0", "master": "lower0",
        "ipam": ipam,
    })
}

fn address(result: &Value) -> IpAddr {
    let text = result["ips"][0]["address"].as_str().unwrap();
    text.split_once('/').unwrap().0.parse().unwrap()
}

#[test]
fn two_pods_share_a_subnet_of_two_addresses_and_reach_each_other() {
    for kind in ["bridge", "macvlan"] {
        if kind == "macvlan" && !probe::has_link_kind(kind) {
            println!("no {kind} here");
            continue;
        }
        for subnet in ["10.7.0.4/31", "fd07::4/127"] {
            let Some(host) = Host::new() else { return };
            host.sh("ip link add lower0 type veth peer name lower1; ip link set lower0 up; ip link set lower1 up");
            let plugins = PluginDir::of(PROGRAM);
            let conf = conf(kind, "net", &json!({"subnet": subnet}));
            let plugin = Plugin::ours(&plugins, kind);
            let pods: [Pod; 3] = ["one", "two", "three"].map(|name| host.pod(name));
            let [one, two] = [0, 1].map(|number: usize| {
                let result = plugin.add(&conf, &pods[number]).succeeds();
                plugin
                    .check(&conf, &result, &pods[number])
                    .succeeds_silently();
                assert_eq!(result["ips"][0].get("gateway"), None, "{result}");
                address(&result)
            });
            assert_ne!(one, two);
            assert!(pods[0].pings(two) && pods[1].pings(one), "{kind} {subnet}");
            plugin.add(&conf, &pods[2]).fails_with(11);
            plugin.del(&conf, &pods[0]).succeeds_silently();
            let result = plugin.add(&conf, &pods[2]).succeeds();
            assert_eq!(address(&result), one, "{kind} {subnet}");
            assert!(pods[1].pings(one), "{kind} {subnet}");
        }
    }
}

#[test]
fn with_a_gateway_that_is_named_such_a_pod_gets_out() {
    let pools = [
        ("10.7.0.0/31", "10.7.0.0", "0.0.0.0/0", 0),
        ("10.7.0.2/31", "10.7.0.3", "0.0.0.0/0", 0),
        ("fd07::/127", "fd07::1", "::/0", 1),
        ("fd07::8/127", "fd07::8", "::/0", 1),
    ];
    for kind in ["bridge", "ptp"] {
        for (subnet, gateway, everywhere, family) in pools {
            let Some(host) = Host::new() else { return };
            let uplink = host.uplink();
            let plugins = PluginDir::of(PROGRAM);
            let mut conf = conf(kind, "net", &json!({"subnet": subnet, "gateway": gateway}));
            conf["ipMasq"] = json!(true);
            match kind {
                "bridge" => conf["isDefaultGateway"] = json!(true),
                _ => conf["ipam"]["routes"] = json!([{"dst": everywhere}]),
            }
            let (plugin, pod) = (Plugin::ours(&plugins, kind), host.pod("one"));
            let result = plugin.add(&conf, &pod).succeeds();
            plugin.check(&conf, &result, &pod).succeeds_silently();
            let case = format!("{kind} {subnet} by {gateway}");
            assert!(pod.pings(gateway.parse::<IpAddr>().unwrap()), "{case}");
            let seen = pod.source_seen_by(&uplink.outside, Uplink::SERVER[family]);
            assert_eq!(seen, Ok(Uplink::HOST[family]), "{case}");
            // The other address is the gateway's.
            plugin.add(&conf, &host.pod("two")).fails_with(11);
            plugin.del(&conf, &pod).succeeds_silently();
        }
    }
}

#[test]
fn a_pool_of_one_address_serves_one_pod_and_the_next_after_it() {
    for (kind, subnet) in [
        ("bridge", "10.7.0.9/32"),
        ("bridge", "fd07::9/128"),
        ("tap", "10.7.0.9/32"),
        ("tap", "fd07::9/128"),
    ] {
        let Some(host) = Host::new() else { return };
        let plugins = PluginDir::of(PROGRAM);
        let mut conf = conf(kind, "net", &json!({"subnet": subnet}));
        if kind == "tap" {
            conf.as_object_mut().unwrap().remove("bridge");
        }
        let plugin = Plugin::ours(&plugins, kind);
        for name in ["one", "two"] {
            let pod = host.pod(name);
            let result = plugin.add(&conf, &pod).succeeds();
            plugin.check(&conf, &result, &pod).succeeds_silently();
            assert_eq!(result["ips"][0]["address"], subnet, "{kind}");
            plugin.add(&conf, &host.pod("other")).fails_with(11);
            plugin.del(&conf, &pod).succeeds_silently();
        }
    }
}
