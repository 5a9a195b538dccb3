use crate::support::{Lab, host_veth};
use netloom_testkit::{probe, skip};
use serde_json::{Value, json};

fn lab() -> Option<Lab> {
    let lab = Lab::new()?;
    if probe::has_nft_family("bridge") {
        return Some(lab);
    }
    skip("the kernel has no nf_tables of family bridge");
    None
}

fn bridge_table(lab: &Lab) -> String {
    lab.host.sh("nft list table bridge nat 2>/dev/null || true")
}

fn checked(lab: &Lab) -> Value {
    lab.conf(json!({"macspoofchk": true}))
}

#[test]
fn the_rules_have_the_names_of_the_reference() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let result = lab.bridge.add(&checked(&lab), &pod).succeeds();
    let table = bridge_table(&lab);
    let (veth, mac) = (
        host_veth(&result),
        result["interfaces"][2]["mac"].as_str().unwrap(),
    );
    for line in [
        "chain cni-br-iface-id-of-one-eth0 {".to_owned(),
        "chain cni-br-iface-id-of-one-eth0-mac {".to_owned(),
        "type filter hook prerouting priority dstnat; policy accept;".to_owned(),
        format!(
            "iifname \"{veth}\" jump cni-br-iface-id-of-one-eth0 comment \"macspoofchk-id-of-one-eth0\""
        ),
        "jump cni-br-iface-id-of-one-eth0-mac comment \"macspoofchk-id-of-one-eth0\"".to_owned(),
        format!("ether saddr {mac} return comment \"macspoofchk-id-of-one-eth0\""),
        "drop comment \"macspoofchk-id-of-one-eth0\"".to_owned(),
    ] {
        assert!(table.contains(&line), "{line}\n{table}");
    }
    lab.bridge
        .check(&checked(&lab), &result, &pod)
        .succeeds_silently();
    lab.bridge
        .del_with(&checked(&lab), &result, &pod)
        .succeeds_silently();
    let table = bridge_table(&lab);
    assert!(!table.contains("id-of-one"), "{table}");
    assert!(
        table.contains("chain PREROUTING"),
        "the base chain is shared and stays: {table}"
    );
}

#[test]
fn frames_from_another_mac_address_are_dropped() {
    let Some(lab) = lab() else { return };
    let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
    for (pod, last) in [(&one, 5), (&two, 6)] {
        lab.ipam
            .answers(json!({"ips": [{"address": format!("10.1.0.{last}/24")}]}));
        lab.bridge
            .add(&lab.routed(json!({"macspoofchk": last == 5})), pod)
            .succeeds();
    }
    let other = std::net::Ipv4Addr::new(10, 1, 0, 6);
    assert!(one.pings(other));
    one.ip("link set eth0 address 02:00:00:00:00:99");
    assert!(!one.pings(other));
}

#[test]
fn an_add_repeated_after_a_lost_del_leaves_one_set_of_rules() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    lab.bridge.add(&checked(&lab), &pod).succeeds();
    pod.ip("link del eth0");
    let result = lab.bridge.add(&checked(&lab), &pod).succeeds();
    let table = bridge_table(&lab);
    assert_eq!(table.matches("iifname").count(), 1, "{table}");
    assert_eq!(table.matches("ether saddr").count(), 1, "{table}");
    assert!(table.contains(&host_veth(&result)));
    lab.bridge.del(&checked(&lab), &pod).succeeds_silently();
    assert!(!bridge_table(&lab).contains("id-of-one"));
}

#[test]
fn a_lost_rule_is_found_by_check() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let conf = checked(&lab);
    let result = lab.bridge.add(&conf, &pod).succeeds();
    lab.host
        .sh("nft flush chain bridge nat cni-br-iface-id-of-one-eth0-mac");
    lab.bridge
        .check(&conf, &result, &pod)
        .fails()
        .names(&["cni-br-iface-id-of-one-eth0-mac"]);
    lab.host.sh("nft flush table bridge nat");
    lab.bridge
        .check(&conf, &result, &pod)
        .fails()
        .names(&["PREROUTING"]);
    lab.host.sh("nft delete table bridge nat");
    lab.bridge
        .check(&conf, &result, &pod)
        .fails()
        .names(&["cni-br-iface-id-of-one-eth0"]);
    lab.bridge
        .del_with(&conf, &result, &pod)
        .succeeds_silently();
}
