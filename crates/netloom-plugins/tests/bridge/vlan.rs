use crate::support::{Lab, host_veth};
use netloom_testkit::{probe, skip};
use serde_json::{Value, json};
use std::net::Ipv4Addr;

fn lab() -> Option<Lab> {
    let lab = Lab::new()?;
    if probe::has_vlan_filtering() {
        return Some(lab);
    }
    skip("the kernel's bridges cannot filter VLANs");
    None
}

/// The VLANs of a port: (id, flags).
fn vlans(lab: &Lab, port: &str) -> Vec<(u64, Vec<String>)> {
    let json: Value =
        serde_json::from_str(&lab.host.sh(&format!("bridge -j vlan show dev {port}"))).unwrap();
    let list = json[0]["vlans"].as_array().cloned().unwrap_or_default();
    list.iter()
        .flat_map(|vlan| {
            let first = vlan["vlan"].as_u64().unwrap();
            let last = vlan["vlanEnd"].as_u64().unwrap_or(first);
            let flags: Vec<String> =
                serde_json::from_value(vlan["flags"].clone()).unwrap_or_default();
            (first..=last).map(move |id| (id, flags.clone()))
        })
        .collect()
}

fn native(id: u64) -> (u64, Vec<String>) {
    (id, vec!["PVID".into(), "Egress Untagged".into()])
}

fn tagged(id: u64) -> (u64, Vec<String>) {
    (id, Vec::new())
}

#[test]
fn an_access_port_is_in_its_vlan_only() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let conf = lab.conf(json!({"vlan": 100}));
    let result = lab.bridge.add(&conf, &pod).succeeds();
    assert_eq!(vlans(&lab, &host_veth(&result)), [native(100)]);
    lab.bridge.check(&conf, &result, &pod).succeeds_silently();
    lab.host.sh(&format!(
        "bridge vlan del dev {} vid 100",
        host_veth(&result)
    ));
    lab.bridge
        .check(&conf, &result, &pod)
        .fails()
        .names(&["VLAN 100"]);
    lab.bridge
        .del_with(&conf, &result, &pod)
        .succeeds_silently();
}

#[test]
fn the_default_vlan_is_kept_when_asked_for() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let conf = lab.conf(json!({"vlan": 100, "preserveDefaultVlan": true}));
    let result = lab.bridge.add(&conf, &pod).succeeds();
    let untagged = (1, vec!["Egress Untagged".to_owned()]);
    assert_eq!(vlans(&lab, &host_veth(&result)), [untagged, native(100)]);
}

#[test]
fn a_trunk_carries_its_vlans_tagged_and_the_native_one_untagged() {
    let Some(lab) = lab() else { return };
    let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
    let trunk = json!([{"minID": 5, "maxID": 7}, {"id": 9}]);
    let conf = lab.conf(json!({"vlanTrunk": trunk}));
    let result = lab.bridge.add(&conf, &one).succeeds();
    let range = [tagged(5), tagged(6), tagged(7), tagged(9)];
    assert_eq!(
        vlans(&lab, &host_veth(&result)),
        [&[native(1)], &range[..]].concat()
    );
    lab.bridge.check(&conf, &result, &one).succeeds_silently();
    let conf = lab.conf(json!({"vlanTrunk": trunk, "vlan": 3}));
    let result = lab.bridge.add(&conf, &two).succeeds();
    assert_eq!(
        vlans(&lab, &host_veth(&result)),
        [&[native(3)], &range[..]].concat()
    );
    lab.bridge.check(&conf, &result, &two).succeeds_silently();
}

#[test]
fn pods_of_different_vlans_do_not_reach_each_other() {
    let Some(lab) = lab() else { return };
    let pods = [(5, 100), (6, 100), (7, 200)].map(|(last, vlan)| {
        let pod = lab.host.pod(&format!("pod{last}"));
        lab.ipam
            .answers(json!({"ips": [{"address": format!("10.1.0.{last}/24")}]}));
        lab.bridge
            .add(&lab.routed(json!({"vlan": vlan})), &pod)
            .succeeds();
        pod
    });
    assert!(pods[0].pings(Ipv4Addr::new(10, 1, 0, 6)));
    assert!(!pods[0].pings(Ipv4Addr::new(10, 1, 0, 7)));
}

#[test]
fn the_gateway_of_a_vlan_has_an_interface_of_its_own() {
    let Some(lab) = lab() else { return };
    let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
    let conf = lab.routed(json!({"vlan": 100, "isDefaultGateway": true}));
    let result = lab.bridge.add(&conf, &one).succeeds();
    assert_eq!(result["interfaces"][3]["name"], "br0.100");
    assert_eq!(
        result["interfaces"][3]["mac"],
        lab.link("br0.100")["address"]
    );
    assert!(lab.host.ip("addr show dev br0.100").contains("10.1.0.1/24"));
    assert!(!lab.host.ip("addr show dev br0").contains("10.1.0.1/24"));
    assert!(one.pings(Ipv4Addr::new(10, 1, 0, 1)));
    lab.bridge.check(&conf, &result, &one).succeeds_silently();
    lab.ipam
        .answers(json!({"ips": [{"address": "10.1.0.6/24"}]}));
    lab.bridge.add(&conf, &two).succeeds();
    assert!(two.pings(Ipv4Addr::new(10, 1, 0, 1)));
    assert!(two.pings(Ipv4Addr::new(10, 1, 0, 5)));
    assert_eq!(lab.host.sh("ip -o link | grep -c br0.100@").trim(), "1");
    lab.bridge
        .del_with(&conf, &result, &one)
        .succeeds_silently();
    assert!(two.pings(Ipv4Addr::new(10, 1, 0, 1)));
}

#[test]
fn a_bridge_that_does_not_filter_is_made_to() {
    let Some(lab) = lab() else { return };
    lab.host.ip("link add br0 type bridge");
    let pod = lab.host.pod("one");
    let result = lab
        .bridge
        .add(&lab.conf(json!({"vlan": 100})), &pod)
        .succeeds();
    assert_eq!(
        lab.link("br0")["linkinfo"]["info_data"]["vlan_filtering"],
        1
    );
    assert_eq!(vlans(&lab, &host_veth(&result)), [native(100)]);
}
