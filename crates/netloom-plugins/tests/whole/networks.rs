//! A pod in several networks that all bring a default route.

use netloom_testkit::{Host, Plugin, PluginDir, Pod, probe};
use serde_json::{Value, json};

use crate::PROGRAM;

struct Lab {
    plugins: PluginDir,
    host: Host,
}

impl Lab {
    fn new() -> Option<Self> {
        let host = Host::new()?;
        host.ip("link add lower0 type veth peer name lower1");
        host.ip("link set lower0 up");
        host.ip("link set lower1 up");
        let plugins = PluginDir::of(PROGRAM);
        Some(Self { plugins, host })
    }

    fn call(
        &self,
        command: &str,
        conf: &Value,
        pod: &Pod,
        if_name: &str,
    ) -> netloom_testkit::Outcome {
        let plugin = Plugin::ours(&self.plugins, conf["type"].as_str().unwrap());
        let call = plugin.call(command, conf).pod(pod);
        call.env("CNI_IFNAME", if_name).run()
    }

    fn add(&self, conf: &Value, pod: &Pod, if_name: &str) -> Value {
        self.call("ADD", conf, pod, if_name).succeeds()
    }

    /// CHECK or DEL.
    fn later(&self, command: &str, conf: &Value, result: &Value, pod: &Pod, if_name: &str) {
        let mut conf = conf.clone();
        conf["prevResult"] = result.clone();
        self.call(command, &conf, pod, if_name).succeeds_silently();
    }
}

/// Network number `number` by a plugin, with a default route of each family.
fn conf(kind: &str, number: u8) -> Value {
    let mut conf = json!({
        "cniVersion": "1.1.0", "name": format!("net{number}"), "type": kind,
        "ipam": {
            "type": "static",
            "addresses": [
                {"address": format!("10.{number}.0.5/24"), "gateway": format!("10.{number}.0.1")},
                {"address": format!("fd00:{number}::5/64"), "gateway": format!("fd00:{number}::1")},
            ],
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
        },
    });
    match kind {
        "bridge" => {
            conf["bridge"] = json!(format!("br{number}"));
            conf["isGateway"] = json!(true);
        }
        "vlan" => {
            conf["master"] = json!("lower0");
            conf["vlanId"] = json!(number);
        }
        "host-device" => conf["device"] = json!(format!("device{number}")),
        _ => conf["master"] = json!("lower0"),
    }
    conf
}

/// Link and metric of the default routes of a family, best first.
fn defaults(pod: &Pod, family: &str) -> Vec<(String, u64)> {
    let listed: Vec<Value> =
        serde_json::from_str(&pod.ip(&format!("-j {family} route show default"))).unwrap();
    let mut found: Vec<_> = listed
        .iter()
        .map(|route| {
            assert!(route["nexthops"].is_null(), "multipath: {route}");
            let device = route["dev"].as_str().unwrap().to_owned();
            (device, route["metric"].as_u64().unwrap_or(0))
        })
        .collect();
    found.sort_by_key(|(_, metric)| *metric);
    found
}

fn pairs(wanted: &[(&str, u64)]) -> Vec<(String, u64)> {
    let pair = |(device, metric): &(&str, u64)| ((*device).to_owned(), *metric);
    wanted.iter().map(pair).collect()
}

#[test]
fn the_first_networks_default_route_counts_by_whatever_plugin_the_networks_are() {
    let kinds = [
        "bridge",
        "ptp",
        "macvlan",
        "ipvlan",
        "vlan",
        "dummy",
        "tap",
        "host-device",
    ];
    for kind in kinds {
        if ["macvlan", "ipvlan", "vlan", "dummy"].contains(&kind) && !probe::has_link_kind(kind) {
            println!("no {kind} here");
            continue;
        }
        let Some(lab) = Lab::new() else { return };
        for number in 1..=3 {
            lab.host.ip(&format!(
                "link add device{number} type veth peer name far{number}"
            ));
            lab.host.ip(&format!("link set far{number} up"));
        }
        let pod = lab.host.pod("one");
        let mut made = Vec::new();
        for (number, priority) in [(1, Value::Null), (2, json!(1025)), (3, json!(1026))] {
            let conf = conf(kind, number);
            let if_name = format!("eth{number}");
            let result = lab.add(&conf, &pod, &if_name);
            for route in result["routes"].as_array().unwrap() {
                assert_eq!(route["priority"], priority, "{kind}: {route}");
            }
            made.push((conf, result, if_name));
        }
        for (family, usual) in [("-4", 0), ("-6", 1024)] {
            let wanted = [("eth1", usual), ("eth2", 1025), ("eth3", 1026)];
            assert_eq!(defaults(&pod, family), pairs(&wanted), "{kind}");
        }
        for number in 0..16 {
            let way = pod.ip(&format!("-6 route get 2001:db8::{number}"));
            assert!(way.contains("dev eth1"), "{kind}: {way}");
        }
        for (conf, result, if_name) in &made {
            lab.later("CHECK", conf, result, &pod, if_name);
        }
        // Whichever goes, the first of those that are left counts.
        let (conf, result, if_name) = &made[1];
        lab.later("DEL", conf, result, &pod, if_name);
        let (conf, result, if_name) = &made[0];
        lab.later("CHECK", conf, result, &pod, if_name);
        lab.later("DEL", conf, result, &pod, if_name);
        for family in ["-4", "-6"] {
            assert_eq!(defaults(&pod, family), pairs(&[("eth3", 1026)]), "{kind}");
        }
    }
}

#[test]
fn a_priority_in_the_route_wins_and_later_networks_stand_behind_it() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let with = |number, priority: u32| {
        let mut conf = conf("bridge", number);
        for route in conf["ipam"]["routes"].as_array_mut().unwrap() {
            route["priority"] = json!(priority);
        }
        conf
    };
    lab.add(&with(1, 3000), &pod, "eth1");
    let second = conf("bridge", 2);
    let result = lab.add(&second, &pod, "eth2");
    lab.add(&with(3, 7), &pod, "eth3");
    let wanted = pairs(&[("eth3", 7), ("eth1", 3000), ("eth2", 3001)]);
    assert_eq!(defaults(&pod, "-4"), wanted);
    assert_eq!(defaults(&pod, "-6"), wanted);
    // A route that names no metric may have any: somebody else may have chosen.
    let mut unnamed = result.clone();
    for route in unnamed["routes"].as_array_mut().unwrap() {
        route.as_object_mut().unwrap().remove("priority");
    }
    lab.later("CHECK", &second, &unnamed, &pod, "eth2");
}

#[test]
fn results_of_old_versions_do_not_tell_and_routes_of_one_network_share() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    lab.add(&conf("bridge", 1), &pod, "eth1");
    let mut second = conf("bridge", 2);
    second["cniVersion"] = json!("1.0.0");
    second["ipam"]["routes"] = json!([
        {"dst": "::/0", "gw": "fd00:2::1"}, {"dst": "::/0", "gw": "fd00:2::2"},
    ]);
    let result = lab.add(&second, &pod, "eth2");
    assert_eq!(result["routes"][0].get("priority"), None, "{result}");
    lab.later("CHECK", &second, &result, &pod, "eth2");
    let routes = pod.ip("-6 route show default");
    let shared = routes
        .split("default")
        .find(|route| route.contains("metric 1025"))
        .unwrap();
    assert!(
        shared.contains("via fd00:2::1") && shared.contains("via fd00:2::2"),
        "{routes}"
    );
    assert_eq!(defaults(&pod, "-4"), pairs(&[("eth1", 0)]));
}

/// Another route hides the main table's default route from a look-up.
#[test]
fn a_default_route_that_a_vpn_hides_is_seen() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    lab.add(&conf("bridge", 1), &pod, "eth1");
    pod.sh(
        "ip route add 128.0.0.0/1 dev eth1; ip route add unreachable default table 99
         ip rule add to 192.0.0.0/8 table 99 priority 50; ip -6 route add 3000::/4 dev eth1",
    );
    lab.add(&conf("bridge", 2), &pod, "eth2");
    assert_eq!(defaults(&pod, "-4"), pairs(&[("eth1", 0), ("eth2", 1025)]));
    assert_eq!(
        defaults(&pod, "-6"),
        pairs(&[("eth1", 1024), ("eth2", 1025)])
    );
}

/// What multus does for `"default-route"` of an attachment: it takes the default routes by the
/// other links away and adds one, without a metric, by the link that is to have it.
#[test]
fn multus_moves_the_default_route_to_a_later_network() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    lab.add(&conf("ptp", 1), &pod, "eth0");
    let mut later = conf("macvlan", 2);
    let result = lab.add(&later, &pod, "net1");
    pod.ip("route del default dev eth0");
    pod.ip("-6 route del default dev eth0");
    pod.ip("route add default via 10.2.0.9 dev net1");
    pod.ip("-6 route add default via fd00:2::9 dev net1");
    assert_eq!(defaults(&pod, "-4"), pairs(&[("net1", 0), ("net1", 1025)]));
    assert_eq!(
        defaults(&pod, "-6"),
        pairs(&[("net1", 1024), ("net1", 1025)])
    );
    lab.later("CHECK", &later, &result, &pod, "net1");
    // Where it took them away before, the attachment's own route has no metric either.
    let pod = lab.host.pod("two");
    lab.add(&conf("ptp", 3), &pod, "eth0");
    pod.ip("route del default dev eth0");
    later["ipam"]["addresses"][0]["address"] = json!("10.2.0.6/24");
    later["ipam"]["addresses"][1]["address"] = json!("fd00:2::6/64");
    let result = lab.add(&later, &pod, "net1");
    assert_eq!(result["routes"][0]["priority"], Value::Null);
    assert_eq!(result["routes"][1]["priority"], 1025);
}
