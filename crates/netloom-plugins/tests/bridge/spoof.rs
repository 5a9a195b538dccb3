use crate::support::{Lab, host_veth};
use netloom_kernel::{packet, rtnl};
use netloom_testkit::{Outcome, Pod, probe, skip};
use serde_json::{Value, json};

/// The protocol of frames to the nearest bridge.
const LLDP: u16 = 0x88cc;

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

/// ADD or DEL of any container and interface.
fn call(lab: &Lab, command: &str, pod: &Pod, id: &str, if_name: &str) -> Outcome {
    let call = lab.bridge.call(command, &checked(lab)).pod(pod);
    call.env("CNI_CONTAINERID", id)
        .env("CNI_IFNAME", if_name)
        .run()
}

fn check(lab: &Lab, pod: &Pod, id: &str, if_name: &str, made: &Value) -> Outcome {
    let mut conf = checked(lab);
    conf["prevResult"] = made.clone();
    let call = lab.bridge.call("CHECK", &conf).pod(pod);
    call.env("CNI_CONTAINERID", id)
        .env("CNI_IFNAME", if_name)
        .run()
}

/// Frames to the addresses that no bridge forwards pass no packet filter before the bridge learns
/// from them.
#[test]
fn nothing_is_learnt_from_frames_that_the_filter_does_not_see() {
    let Some(lab) = lab() else { return };
    // A bridge that is there learns from them until the first pod is checked.
    lab.host.sh("ip link add br0 type bridge");
    let (victim, attacker) = (lab.host.pod("victim"), lab.host.pod("attacker"));
    let made = lab.bridge.add(&checked(&lab), &victim).succeeds();
    let port = host_veth(&lab.bridge.add(&checked(&lab), &attacker).succeeds());
    assert_eq!(
        lab.link("br0")["linkinfo"]["info_data"]["no_linklocal_learn"],
        json!(1)
    );
    let mac = made["interfaces"][2]["mac"].as_str().unwrap().to_owned();
    attacker.sh(&format!("ip link set eth0 address {mac}"));
    attacker.run(|| {
        let link = rtnl::Socket::open().unwrap().get_link("eth0").unwrap();
        let frames = packet::Socket::open(link.index, LLDP, &packet::udp4_to_port(1)).unwrap();
        for last in [0x00, 0x02, 0x03, 0x0e, 0x0f] {
            frames
                .send(&[0; 46], [0x01, 0x80, 0xc2, 0, 0, last])
                .unwrap();
        }
    });
    let learnt = lab.host.sh(&format!("bridge fdb show brport {port}"));
    assert!(!learnt.contains(&mac), "{learnt}");
}

#[test]
fn two_whose_names_joined_are_one_are_checked_each() {
    let Some(lab) = lab() else { return };
    for [(id, if_name), (other_id, other_name)] in [
        [("x", "eth0"), ("x-eth0", "mac")],
        [("a", "b-c"), ("a-b", "c")],
        [("a-b", "c"), ("a", "b-c")],
    ] {
        let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
        let made = call(&lab, "ADD", &one, id, if_name).succeeds();
        let other = call(&lab, "ADD", &two, other_id, other_name).succeeds();
        check(&lab, &one, id, if_name, &made).succeeds_silently();
        check(&lab, &two, other_id, other_name, &other).succeeds_silently();
        let table = bridge_table(&lab);
        assert_eq!(table.matches("ether saddr").count(), 2, "{table}");
        for _ in 0..2 {
            call(&lab, "DEL", &two, other_id, other_name).succeeds_silently();
            check(&lab, &one, id, if_name, &made).succeeds_silently();
        }
        call(&lab, "DEL", &one, id, if_name).succeeds_silently();
        let table = bridge_table(&lab);
        assert!(!table.contains("cni-br-iface"), "{table}");
        one.remove();
        two.remove();
    }
}

/// What `nft` takes as a comment ends before such ids do; what it takes as a name ends later.
#[test]
fn ids_however_long_have_a_check_of_their_own() {
    let Some(lab) = lab() else { return };
    for length in [130, 245, 300] {
        let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
        let [first, second] = ["1", "2"].map(|end| "a".repeat(length) + end);
        call(&lab, "ADD", &one, &first, "eth0").succeeds();
        let made = call(&lab, "ADD", &two, &second, "eth0").succeeds();
        call(&lab, "DEL", &one, &first, "eth0").succeeds_silently();
        check(&lab, &two, &second, "eth0", &made).succeeds_silently();
        call(&lab, "DEL", &two, &second, "eth0").succeeds_silently();
        let table = bridge_table(&lab);
        assert!(!table.contains("cni-br-iface"), "{length}: {table}");
        one.remove();
        two.remove();
    }
}

/// The Go plugins' chains say whose they are by the comments of their rules alone.
#[test]
fn the_references_chains_are_removed_and_those_of_another_are_not() {
    let Some(lab) = lab() else { return };
    let rules = |reference: &str| {
        let (iface, comment) = (
            format!("cni-br-iface-{reference}"),
            format!("comment '\"macspoofchk-{reference}\"'"),
        );
        lab.host.sh(&format!(
            "nft add table bridge nat
             nft add chain bridge nat PREROUTING '{{ type filter hook prerouting priority -300 ; }}'
             nft add chain bridge nat {iface}; nft add chain bridge nat {iface}-mac
             nft add rule bridge nat PREROUTING iifname veth9 jump {iface} {comment}
             nft add rule bridge nat {iface} jump {iface}-mac {comment}
             nft add rule bridge nat {iface}-mac ether saddr 02:00:00:00:00:01 return {comment}
             nft add rule bridge nat {iface}-mac drop {comment}"
        ));
    };
    let pod = lab.host.pod("one");
    rules("x-eth0-mac");
    let other = bridge_table(&lab);
    rules("x-eth0");
    call(&lab, "DEL", &pod, "x", "eth0").succeeds_silently();
    let left = bridge_table(&lab);
    assert!(!left.contains("jump cni-br-iface-x-eth0 "), "{left}");
    assert_eq!(
        left.matches("macspoofchk-x-eth0-mac").count(),
        4,
        "{left}\n{other}"
    );
}
