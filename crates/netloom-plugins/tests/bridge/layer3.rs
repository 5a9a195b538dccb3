use crate::support::{Lab, host_veth};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn dual_stack(lab: &Lab) {
    lab.ipam
        .answers(json!({"ips": [{"address": "10.1.0.5/24"}, {"address": "fd00:1::5/64"}]}));
}

fn addresses(json: &str) -> Vec<String> {
    let links: Vec<Value> = serde_json::from_str(json).unwrap();
    let mut found = Vec::new();
    for info in links
        .iter()
        .flat_map(|link| link["addr_info"].as_array().cloned().unwrap_or_default())
    {
        if info["scope"] == "global" {
            found.push(format!(
                "{}/{}",
                info["local"].as_str().unwrap(),
                info["prefixlen"]
            ));
        }
    }
    found
}

#[test]
fn a_gateway_gives_the_bridge_an_address_of_each_family_and_forwards() {
    let Some(lab) = Lab::new() else { return };
    dual_stack(&lab);
    let pod = lab.host.pod("one");
    let conf = lab.routed(json!({"isGateway": true}));
    let result = lab.bridge.add(&conf, &pod).succeeds();
    assert_eq!(result["ips"][0]["gateway"], "10.1.0.1");
    assert_eq!(result["ips"][1]["gateway"], "fd00:1::1");
    assert!(
        result.get("routes").is_none(),
        "no default route was asked for: {result}"
    );
    assert_eq!(
        addresses(&lab.host.ip("-j addr show dev br0")),
        ["10.1.0.1/24", "fd00:1::1/64"]
    );
    assert_eq!(
        addresses(&pod.ip("-j addr show dev eth0")),
        ["10.1.0.5/24", "fd00:1::5/64"]
    );
    assert!(pod.pings(Ipv4Addr::new(10, 1, 0, 1)));
    assert!(pod.pings("fd00:1::1".parse::<Ipv6Addr>().unwrap()));
    let value = |path: &str| lab.host.sh(&format!("cat /proc/sys/net/{path}"));
    assert_eq!(value("ipv4/ip_forward").trim(), "1");
    assert_eq!(value("ipv6/conf/all/forwarding").trim(), "1");
    lab.bridge.check(&conf, &result, &pod).succeeds_silently();
}

/// Of which host-local refuses the broadcast address alone.
#[test]
fn a_gateway_at_either_end_of_its_subnet_serves() {
    let Some(lab) = Lab::new() else { return };
    for (number, addresses, gateways) in [
        (1, ["10.1.0.5/24", "fd00:1::5/64"], ["10.1.0.0", "fd00:1::"]),
        (
            2,
            ["10.2.0.5/24", "fd00:2::5/64"],
            ["10.2.0.254", "fd00:2::ffff:ffff:ffff:ffff"],
        ),
    ] {
        let ip = |it: usize| json!({"address": addresses[it], "gateway": gateways[it]});
        lab.ipam.answers(json!({"ips": [ip(0), ip(1)]}));
        let pod = lab.host.pod(&format!("pod{number}"));
        let conf = lab.routed(json!({"bridge": format!("br{number}"), "isDefaultGateway": true}));
        let result = lab.bridge.add(&conf, &pod).succeeds();
        for gateway in gateways {
            assert!(pod.pings(gateway.parse::<IpAddr>().unwrap()), "{gateway}");
        }
        lab.bridge
            .del_with(&conf, &result, &pod)
            .succeeds_silently();
    }
}

#[test]
fn without_a_gateway_neither_bridge_nor_forwarding_is_touched() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let result = lab.bridge.add(&lab.routed(json!({})), &pod).succeeds();
    assert!(result["ips"][0].get("gateway").is_none(), "{result}");
    assert_eq!(lab.host.sh("cat /proc/sys/net/ipv4/ip_forward").trim(), "0");
    assert!(addresses(&lab.host.ip("-j addr show dev br0")).is_empty());
}

#[test]
fn a_default_gateway_adds_a_default_route_per_family() {
    let Some(lab) = Lab::new() else { return };
    dual_stack(&lab);
    let pod = lab.host.pod("one");
    let conf = lab.routed(json!({"isDefaultGateway": true}));
    let result = lab.bridge.add(&conf, &pod).succeeds();
    assert_eq!(
        result["routes"],
        json!([{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}, {"dst": "::/0", "gw": "fd00:1::1"}])
    );
    assert!(pod.ip("route").contains("default via 10.1.0.1 dev eth0"));
    assert!(
        pod.ip("-6 route")
            .contains("default via fd00:1::1 dev eth0")
    );
    lab.bridge.check(&conf, &result, &pod).succeeds_silently();
}

#[test]
fn a_default_route_of_the_ipam_plugin_without_gateway_is_completed_not_doubled() {
    let Some(lab) = Lab::new() else { return };
    let ips = json!([{"address": "10.1.0.5/24"}]);
    lab.ipam
        .answers(json!({"ips": ips, "routes": [{"dst": "0.0.0.0/0"}]}));
    let pod = lab.host.pod("one");
    let result = lab
        .bridge
        .add(&lab.routed(json!({"isDefaultGateway": true})), &pod)
        .succeeds();
    assert_eq!(
        result["routes"],
        json!([{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}])
    );
    assert_eq!(pod.ip("route show default").lines().count(), 1);
}

#[test]
fn a_default_route_of_the_ipam_plugin_with_gateway_wins() {
    let Some(lab) = Lab::new() else { return };
    let ips = json!([{"address": "10.1.0.5/24"}]);
    lab.ipam
        .answers(json!({"ips": ips, "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.9"}]}));
    let pod = lab.host.pod("one");
    let result = lab
        .bridge
        .add(&lab.routed(json!({"isDefaultGateway": true})), &pod)
        .succeeds();
    assert_eq!(
        result["routes"],
        json!([{"dst": "0.0.0.0/0", "gw": "10.1.0.9"}])
    );
}

#[test]
fn a_conflicting_address_on_the_bridge_is_refused_or_replaced() {
    let Some(lab) = Lab::new() else { return };
    lab.host.ip("link add br0 type bridge");
    lab.host.ip("addr add 10.9.0.1/24 dev br0");
    let pod = lab.host.pod("one");
    let error = lab
        .bridge
        .add(&lab.routed(json!({"isGateway": true})), &pod)
        .fails();
    error.names(&["\"br0\" already has an IP address different from 10.1.0.1/24"]);
    assert_eq!(
        lab.ipam.calls(),
        ["ADD", "DEL"],
        "the reservation is given back"
    );
    assert!(
        !pod.ip("-o link").contains("eth0"),
        "the veth is taken back"
    );
    let force = lab.routed(json!({"isGateway": true, "forceAddress": true}));
    lab.bridge.add(&force, &pod).succeeds();
    assert_eq!(
        addresses(&lab.host.ip("-j addr show dev br0")),
        ["10.1.0.1/24"]
    );
}

#[test]
fn ipv6_addresses_of_other_subnets_may_share_the_bridge() {
    let Some(lab) = Lab::new() else { return };
    lab.host.ip("link add br0 type bridge");
    lab.host.ip("addr add fd00:9::1/64 dev br0");
    dual_stack(&lab);
    let conf = lab.routed(json!({"isGateway": true}));
    lab.bridge.add(&conf, &lab.host.pod("one")).succeeds();
    let found = addresses(&lab.host.ip("-j -6 addr show dev br0"));
    assert!(found.contains(&"fd00:9::1/64".into()) && found.contains(&"fd00:1::1/64".into()));
    lab.host.ip("addr del fd00:1::1/64 dev br0");
    lab.host.ip("addr add fd00:1::99/64 dev br0");
    let error = lab.bridge.add(&conf, &lab.host.pod("two")).fails();
    error.names(&["already has an IP address different from fd00:1::1/64"]);
}

#[test]
fn an_ipam_plugin_without_addresses_fails_the_add_and_is_told_to_release() {
    let Some(lab) = Lab::new() else { return };
    lab.ipam.answers(json!({"ips": []}));
    let pod = lab.host.pod("one");
    let error = lab.bridge.add(&lab.routed(json!({})), &pod).fails();
    error.names(&["IPAM plugin returned missing IP config"]);
    assert_eq!(lab.ipam.calls(), ["ADD", "DEL"]);
    assert!(!pod.ip("-o link").contains("eth0"));
}

#[test]
fn routes_carry_everything_the_ipam_plugin_said() {
    let Some(lab) = Lab::new() else { return };
    lab.ipam.answers(json!({
        "ips": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}],
        "routes": [
            {"dst": "192.0.2.0/24", "mtu": 1300, "advmss": 1200, "priority": 77},
            {"dst": "198.51.100.0/24", "gw": "10.1.0.7", "table": 100},
            {"dst": "203.0.113.0/24", "scope": 253},
        ],
    }));
    let pod = lab.host.pod("one");
    let conf = lab.routed(json!({}));
    let result = lab.bridge.add(&conf, &pod).succeeds();
    let main = pod.ip("route");
    let first = main
        .lines()
        .find(|line| line.starts_with("192.0.2.0/24"))
        .unwrap();
    for part in ["via 10.1.0.1", "mtu 1300", "advmss 1200", "metric 77"] {
        assert!(first.contains(part), "{part}: {first}");
    }
    assert!(
        pod.ip("route show table 100")
            .contains("198.51.100.0/24 via 10.1.0.7")
    );
    assert!(
        main.contains("203.0.113.0/24") && main.contains("scope link"),
        "{main}"
    );
    lab.bridge.check(&conf, &result, &pod).succeeds_silently();
    pod.ip("route del 198.51.100.0/24 table 100");
    lab.bridge
        .check(&conf, &result, &pod)
        .fails()
        .names(&["198.51.100.0/24", "100"]);
}

#[test]
fn sysctls_of_the_container_interface_are_as_the_reference_sets_them() {
    let Some(lab) = Lab::new() else { return };
    dual_stack(&lab);
    let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
    one.sh("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
    lab.bridge
        .add(&lab.routed(json!({"isGateway": true})), &one)
        .succeeds();
    let value = |pod: &netloom_testkit::Pod, path: &str| {
        pod.sh(&format!("cat /proc/sys/net/{path}"))
            .trim()
            .to_owned()
    };
    assert_eq!(value(&one, "ipv6/conf/eth0/accept_dad"), "0");
    assert_eq!(value(&one, "ipv6/conf/eth0/disable_ipv6"), "0");
    assert_eq!(value(&one, "ipv6/conf/eth0/keep_addr_on_down"), "1");
    assert_eq!(value(&one, "ipv4/conf/eth0/arp_notify"), "1");
    lab.ipam
        .answers(json!({"ips": [{"address": "fd00:1::6/64"}]}));
    let dad = lab.routed(json!({"isGateway": true, "enabledad": true}));
    lab.bridge.add(&dad, &two).succeeds();
    assert_eq!(value(&two, "ipv6/conf/eth0/accept_dad"), "1");
    assert_eq!(value(&two, "ipv6/conf/eth0/enhanced_dad"), "1");
    assert!(
        !two.ip("-6 addr show dev eth0 scope global")
            .contains("tentative")
    );
}

#[test]
fn a_duplicate_ipv6_address_is_found_when_dad_is_enabled() {
    let Some(lab) = Lab::new() else { return };
    lab.ipam
        .answers(json!({"ips": [{"address": "fd00:1::5/64"}]}));
    let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
    let conf = lab.routed(json!({"isGateway": true, "enabledad": true}));
    lab.bridge.add(&conf, &one).succeeds();
    lab.bridge
        .add(&conf, &two)
        .fails()
        .names(&["fd00:1::5", "duplicate"]);
    assert!(!two.ip("-o link").contains("eth0"));
}

#[test]
fn two_pods_on_one_bridge_reach_each_other_in_both_families() {
    let Some(lab) = Lab::new() else { return };
    let pods = [lab.host.pod("one"), lab.host.pod("two")];
    for (pod, last) in pods.iter().zip([5, 6]) {
        let (v4, v6) = (format!("10.1.0.{last}/24"), format!("fd00:1::{last}/64"));
        lab.ipam
            .answers(json!({"ips": [{"address": v4}, {"address": v6}]}));
        lab.bridge
            .add(&lab.routed(json!({"isGateway": true})), pod)
            .succeeds();
    }
    assert!(pods[0].pings(Ipv4Addr::new(10, 1, 0, 6)));
    assert!(pods[1].pings("fd00:1::5".parse::<IpAddr>().unwrap()));
}

#[test]
fn parallel_first_adds_share_one_bridge_and_one_gateway() {
    let Some(lab) = Lab::new() else { return };
    let conf = lab.routed(json!({"isDefaultGateway": true}));
    let pods: Vec<_> = (0..12)
        .map(|index| lab.host.pod(&format!("pod{index}")))
        .collect();
    let calls: Vec<_> = pods
        .iter()
        .map(|pod| lab.bridge.call("ADD", &conf).pod(pod))
        .collect();
    // Threads stay in the namespaces of the thread that starts them.
    let results: Vec<Value> = std::thread::scope(|scope| {
        let running: Vec<_> = calls
            .iter()
            .map(|call| scope.spawn(|| call.run()))
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap().succeeds())
            .collect()
    });
    let mac = lab.link("br0")["address"].clone();
    for result in &results {
        assert_eq!(result["interfaces"][0]["mac"], mac);
        assert_eq!(lab.link(&host_veth(result))["master"], "br0");
    }
    assert_eq!(
        addresses(&lab.host.ip("-j addr show dev br0")),
        ["10.1.0.1/24"]
    );
}
