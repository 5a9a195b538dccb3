use crate::support::{Lab, host_veth, merged};
use serde_json::{Value, json};

/// ADD with the given version; the IPAM plugin answers in the same family.
fn add(lab: &Lab, version: &str) -> Value {
    let answer = match version {
        "0.1.0" | "0.2.0" => json!({"ip4": {"ip": "10.1.0.5/24"}, "ip6": {"ip": "fd00:1::5/64"}}),
        "0.3.0" | "0.3.1" | "0.4.0" => json!({"ips": [
            {"version": "4", "address": "10.1.0.5/24"}, {"version": "6", "address": "fd00:1::5/64"},
        ], "dns": {"nameservers": ["10.1.0.1"]}}),
        _ => json!({"ips": [{"address": "10.1.0.5/24"}, {"address": "fd00:1::5/64"}]}),
    };
    lab.ipam
        .answers(merged(json!({"cniVersion": version}), answer));
    let conf = lab.routed(json!({"cniVersion": version, "isDefaultGateway": true}));
    let pod = lab.host.pod("one");
    let result = lab.bridge.add(&conf, &pod).succeeds();
    assert_eq!(result["cniVersion"], version);
    if !["0.1.0", "0.2.0", "0.3.0", "0.3.1"].contains(&version) {
        lab.bridge.check(&conf, &result, &pod).succeeds_silently();
    }
    lab.bridge
        .del_with(&conf, &result, &pod)
        .succeeds_silently();
    result
}

#[test]
fn the_oldest_results_hold_one_address_of_each_family_with_its_routes() {
    for version in ["0.1.0", "0.2.0"] {
        let Some(lab) = Lab::new() else { return };
        let result = add(&lab, version);
        let routes = json!([{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}]);
        assert_eq!(
            result["ip4"],
            json!({"ip": "10.1.0.5/24", "gateway": "10.1.0.1", "routes": routes})
        );
        assert_eq!(result["ip6"]["gateway"], "fd00:1::1");
        assert_eq!(result["dns"], json!({}));
    }
}

#[test]
fn results_with_interfaces_list_bridge_host_end_and_container_in_this_order() {
    for version in ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let Some(lab) = Lab::new() else { return };
        let result = add(&lab, version);
        let interfaces = result["interfaces"].as_array().unwrap();
        assert_eq!(interfaces.len(), 3);
        assert_eq!(interfaces[0]["name"], "br0");
        assert!(host_veth(&result).starts_with("veth"));
        assert_eq!(interfaces[2]["name"], "eth0");
        assert_eq!(interfaces[2]["sandbox"], "/run/netns/one");
        assert!(interfaces[0].get("sandbox").is_none() && interfaces[1].get("sandbox").is_none());
        assert!(
            interfaces
                .iter()
                .all(|interface| interface["mac"].is_string())
        );
        for ip in result["ips"].as_array().unwrap() {
            assert_eq!(ip["interface"], 2);
        }
        assert_eq!(
            result["routes"][1],
            json!({"dst": "::/0", "gw": "fd00:1::1"})
        );
        assert_eq!(
            version == "1.1.0",
            interfaces[2]["mtu"] == 1500,
            "{version}: {result}"
        );
    }
}

#[test]
fn own_dns_replaces_that_of_the_ipam_plugin() {
    let Some(lab) = Lab::new() else { return };
    let ips = json!([{"address": "10.1.0.5/24"}]);
    lab.ipam
        .answers(json!({"ips": ips, "dns": {"nameservers": ["10.9.9.9"]}}));
    let pod = lab.host.pod("one");
    let result = lab.bridge.add(&lab.routed(json!({})), &pod).succeeds();
    assert_eq!(result["dns"], json!({"nameservers": ["10.9.9.9"]}));
    lab.bridge
        .del(&lab.routed(json!({})), &pod)
        .succeeds_silently();
    let own = lab.routed(json!({"dns": {"search": ["example.org"]}}));
    assert_eq!(
        lab.bridge.add(&own, &pod).succeeds()["dns"],
        json!({"search": ["example.org"]})
    );
    lab.bridge.del(&own, &pod).succeeds_silently();
    let empty = lab.routed(json!({"dns": {"search": []}}));
    assert!(lab.bridge.add(&empty, &pod).succeeds().get("dns").is_none());
}
