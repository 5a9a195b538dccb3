//! The vlan plugin on the real kernel, each test on a throw-away host of its own.

mod single_link;

use netloom_testkit::{Pod, Uplink, probe, skip};
use serde_json::{Value, json};
use single_link::{Lab, Subject, eth0, every, faults, info, merged, reserved, sysctl};
use std::net::Ipv4Addr;

/// VLAN 100 of the uplink, which the router outside is in.
const VLAN: Subject = Subject {
    name: "vlan",
    kind: "vlan",
    keys: || json!({"master": "uplink0", "vlanId": 100}),
    subnets: ["10.100.0.", "fd00:100::"],
    outside: |lab| {
        lab.uplink
            .outside
            .sh("ip link add link eth0 name eth0.100 type vlan id 100
             ip addr add 10.100.0.1/24 dev eth0.100
             ip addr add fd00:100::1/64 dev eth0.100 nodad
             ip link set eth0.100 up");
    },
};

const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 100, 0, 1);

fn lab() -> Option<Lab> {
    Lab::new(VLAN)
}

#[test]
fn a_pod_reaches_the_vlan_and_what_is_behind_it_in_every_version() {
    every::serves_every_version(VLAN, &["10.100.0.1", "fd00:100::1", "203.0.113.80"]);
}

#[test]
fn check_names_what_is_no_longer_as_add_made_it() {
    every::check_names_each_drift(
        VLAN,
        &[
            (
                json!({}),
                (
                    "ip link set eth0 address 02:00:00:00:00:99",
                    &["eth0", "02:00:00:00:00:99"],
                ),
            ),
            (
                json!({}),
                (
                    "host:ip -n one link del eth0
                     ip link add link uplink0 name eth0 netns one type vlan id 101",
                    &["eth0 has vlanId 101, not 100"],
                ),
            ),
            (
                json!({}),
                (
                    "host:ip -n one link del eth0; ip link add other type veth peer name x
                     ip link add link other name eth0 netns one type vlan id 100",
                    &["eth0 does not stand on master \"uplink0\" on the host"],
                ),
            ),
            (
                json!({"mtu": 1400}),
                (
                    "ip link set eth0 mtu 1300",
                    &["eth0 has mtu 1300, not 1400"],
                ),
            ),
            (
                json!({}),
                (
                    "host:ip link set uplink0 name other",
                    &["failed to lookup master \"uplink0\""],
                ),
            ),
        ],
    );
}

#[test]
fn check_is_right_about_its_result_and_later_plugins() {
    every::check_knows_its_result(VLAN);
}

#[test]
fn del_succeeds_twice_and_frees_the_address_whatever_is_left() {
    every::del_works_in_every_state(VLAN);
}

#[test]
fn del_takes_a_bad_configuration_and_goes_on_past_a_failing_ipam_plugin() {
    every::del_takes_what_it_gets(VLAN);
}

#[test]
fn del_leaves_links_of_another_kind_and_of_another_pod_alone() {
    every::del_leaves_what_is_not_its_own(VLAN);
}

#[test]
fn gc_and_status_speak_for_ipam_and_master() {
    every::gc_and_status_are_forwarded(VLAN, true);
    let Some(lab) = lab() else { return };
    lab.host.ip("link set uplink0 down");
    let error = lab.plugin.status(&lab.quick(json!({}))).fails_with(50);
    error.names(&["master \"uplink0\" on the host is down"]);
}

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let required: &[&str] = &["vlan interface requires an IPAM configuration"];
    every::bad_requests_change_nothing(
        VLAN,
        &[
            (
                json!({"master": null}),
                7,
                &["\"master\" field is required"],
            ),
            (json!({"master": ""}), 7, &["\"master\" field is required"]),
            (json!({"ipam": null}), 7, required),
            (json!({"ipam": {}}), 7, required),
            (
                json!({"vlanId": 4095}),
                7,
                &["invalid VLAN ID 4095 (must be between 0 and"],
            ),
            (json!({"vlanId": -1}), 7, &["invalid VLAN ID -1"]),
            (json!({"vlanId": "100"}), 6, &["vlanId"]),
            (
                json!({"mtu": 1501}),
                7,
                &["invalid MTU 1501, must be [0, master MTU(1500)]"],
            ),
            (json!({"mtu": -1}), 7, &["invalid MTU -1"]),
            (json!({"mtu": 67}), 7, &["invalid MTU 67"]),
            (
                json!({"master": "nope0"}),
                999,
                &["failed to lookup master \"nope0\"", "host"],
            ),
            (
                json!({"linkInContainer": true}),
                999,
                &["failed to lookup master \"uplink0\"", "container"],
            ),
            (
                json!({"master": "lo"}),
                999,
                &["failed to create vlan \"eth0\" on master \"lo\" on the host"],
            ),
        ],
    );
    let Some(lab) = lab() else { return };
    let without = lab.layer2(json!({}));
    lab.plugin.status(&without).fails_with(7).names(required);
    let pod = lab.host.pod("one");
    lab.host.ip("link set uplink0 down");
    let before = lab.before(&pod);
    let error = lab.plugin.add(&lab.quick(json!({})), &pod).fails_with(999);
    error.names(&["master \"uplink0\" on the host is down"]);
    lab.assert_as_before(&before, &pod);
}

#[test]
fn the_dns_is_the_ipam_plugins_unless_the_configuration_has_its_own() {
    every::dns_is_ipams_or_the_configurations(VLAN);
}

#[test]
fn routes_are_programmed_with_all_their_attributes() {
    every::routes_are_programmed_whole(VLAN);
}

#[test]
fn a_link_of_the_host_by_the_pods_name_is_not_in_the_way() {
    every::a_name_taken_on_the_host_does_not_matter(VLAN);
}

#[test]
fn go_and_netloom_check_and_delete_what_the_other_made() {
    every::go_and_netloom_hand_over(VLAN);
}

#[test]
fn no_program_is_executed_and_no_time_slept_away() {
    every::executes_and_sleeps_nowhere(VLAN);
}

#[test]
fn an_add_that_fails_or_dies_anywhere_leaves_nothing() {
    faults::leave_nothing_in_a_guest(VLAN);
}

#[test]
fn a_del_that_fails_or_dies_anywhere_is_completed_by_the_next() {
    faults::del_is_completed(VLAN);
}

#[test]
fn number_and_mtu_are_those_of_the_configuration() {
    for id in [0, 1, 100, 4094] {
        let Some(lab) = lab() else { return };
        let pod = lab.host.pod("one");
        let conf = lab.quick(json!({"vlanId": id, "mtu": 1400}));
        let result = lab.plugin.add(&conf, &pod).succeeds();
        assert_eq!(info(&pod)["id"], id);
        assert_eq!(info(&pod)["protocol"], "802.1Q");
        let mtus = (&eth0(&pod)["mtu"], &result["interfaces"][0]["mtu"]);
        assert_eq!(mtus, (&json!(1400), &json!(1400)));
        lab.plugin.check(&conf, &result, &pod).succeeds_silently();
        assert_eq!(pod.pings(ROUTER), id == 100, "{id}");
    }
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    lab.host.ip("link set uplink0 mtu 1300");
    let result = lab.plugin.add(&lab.quick(json!({})), &pod).succeeds();
    assert_eq!(result["interfaces"][0]["mtu"], 1300, "0 is the master's");
    assert_eq!(sysctl(&pod, "net/ipv4/conf/eth0/arp_notify"), "1");
}

#[test]
fn a_vlan_is_one_pods_and_the_second_is_told_which() {
    let Some(lab) = lab() else { return };
    let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
    lab.host.ip("link add eth0 type veth peer name other");
    let conf = lab.quick(json!({}));
    lab.plugin.add(&conf, &one).succeeds();
    let before = lab.before(&two);
    let error = lab.plugin.add(&conf, &two).fails_with(999);
    error.names(&[
        "vlanId 100",
        "\"uplink0\" on the host, which has such a link already",
    ]);
    lab.assert_as_before(&before, &two);
    assert!(one.pings(ROUTER));
    lab.plugin.del(&conf, &one).succeeds_silently();
    lab.plugin.add(&conf, &two).succeeds();
    assert!(two.pings(ROUTER));
}

#[test]
fn pods_of_two_hosts_in_one_vlan_reach_each_other_and_of_another_do_not() {
    let Some(lab) = lab() else { return };
    // The other host's pods are outside's.
    lab.host.ip("link add more0 type veth peer name more1");
    lab.host.sh("ip link add br0 type bridge; ip link set br0 up
         ip link add port0 type veth peer name port1; ip link set port0 up; ip link set port1 up
         ip link set more0 up; ip link set more1 up
         ip link set port0 master br0; ip link set more0 master br0");
    let pods = ["one", "two", "three"].map(|name| lab.host.pod(name));
    for (pod, (master, id)) in pods.iter().zip([("port1", 7), ("more1", 7), ("more1", 8)]) {
        let conf = lab.quick(json!({"master": master, "vlanId": id}));
        lab.plugin.add(&conf, pod).succeeds();
    }
    let [one, two, _] = &pods;
    let second = Ipv4Addr::new(10, 100, 0, 51);
    assert!(one.pings(second));
    let seen = one.source_seen_by(two, second);
    assert_eq!(seen, Ok(Ipv4Addr::new(10, 100, 0, 50).into()));
    assert!(!one.pings(Ipv4Addr::new(10, 100, 0, 52)));
}

/// Puts the uplink under a bridge, which gets its addresses.
const UNDER_A_BRIDGE: &str = "ip link add br0 type bridge; ip link set br0 up
     ip addr flush dev uplink0; ip link set uplink0 master br0
     ip addr add 198.51.100.2/24 dev br0; ip route add default via 198.51.100.1";

#[test]
fn the_master_may_be_a_bridge_or_a_port_of_one() {
    for master in ["uplink0", "br0"] {
        let Some(lab) = lab() else { return };
        lab.host.sh(UNDER_A_BRIDGE);
        let pod = lab.host.pod("one");
        let before = lab.before(&pod);
        let conf = lab.quick(json!({"master": master}));
        let result = lab.plugin.add(&conf, &pod).succeeds();
        assert!(pod.pings(ROUTER), "{master}");
        let seen = pod.source_seen_by(&lab.uplink.outside, Uplink::SERVER[0]);
        assert_eq!(seen, Ok(Ipv4Addr::new(10, 100, 0, 50).into()), "{master}");
        // What has no tag goes on through the bridge.
        lab.host.sh("ping -n -q -c 1 -W 2 198.51.100.1");
        lab.plugin.check(&conf, &result, &pod).succeeds_silently();
        lab.plugin
            .del_with(&conf, &result, &pod)
            .succeeds_silently();
        lab.assert_as_before(&before, &pod);
    }
}

#[test]
fn a_vlan_of_a_bridge_that_filters_needs_the_bridge_to_carry_it() {
    let Some(lab) = lab() else { return };
    if !probe::has_vlan_filtering() {
        return skip("bridges of this kernel do not filter VLANs");
    }
    lab.host.sh(UNDER_A_BRIDGE);
    lab.host.ip("link set br0 type bridge vlan_filtering 1");
    let pod = lab.host.pod("one");
    let conf = lab.quick(json!({"master": "br0"}));
    let result = lab.plugin.add(&conf, &pod).succeeds();
    assert!(!pod.pings(ROUTER));
    lab.host
        .sh("bridge vlan add dev br0 vid 100 self; bridge vlan add dev uplink0 vid 100");
    assert!(pod.pings(ROUTER));
    lab.plugin.check(&conf, &result, &pod).succeeds_silently();
}

/// `up0` of the pod, with VLAN 100 at its other end.
fn master_in(lab: &Lab, pod: &Pod) {
    lab.master_in(pod);
    lab.uplink
        .outside
        .sh("ip link add link up1 name up1.100 type vlan id 100
         ip addr add 10.101.0.1/24 dev up1.100; ip link set up1.100 up");
}

fn in_container(lab: &Lab, keys: Value) -> Value {
    let ipam = json!({"type": "static", "addresses": [{"address": "10.101.0.5/24"}]});
    let inside = json!({"linkInContainer": true, "master": "up0", "ipam": ipam});
    lab.layer2(merged(inside, keys))
}

#[test]
fn the_master_may_be_in_the_container() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    master_in(&lab, &pod);
    let before = lab.before(&pod);
    let conf = in_container(&lab, json!({}));
    let result = lab.plugin.add(&conf, &pod).succeeds();
    assert!(pod.pings(Ipv4Addr::new(10, 101, 0, 1)));
    lab.plugin.check(&conf, &result, &pod).succeeds_silently();
    let elsewhere = merged(
        conf.clone(),
        json!({"linkInContainer": false, "master": "uplink0"}),
    );
    let error = lab.plugin.check(&elsewhere, &result, &pod).fails();
    error.names(&["master \"uplink0\" on the host"]);
    let error = lab
        .plugin
        .add(&in_container(&lab, json!({"mtu": 1501})), &pod);
    error.fails().names(&["eth0", "already exists"]);
    lab.plugin
        .del_with(&conf, &result, &pod)
        .succeeds_silently();
    lab.assert_as_before(&before, &pod);
    let large = in_container(&lab, json!({"mtu": 1501}));
    let error = lab.plugin.add(&large, &pod).fails_with(7);
    error.names(&["master MTU(1500)", "up0"]);

    let quick = lab.quick(json!({"linkInContainer": true, "master": "up0"}));
    lab.plugin.add(&quick, &pod).succeeds();
    pod.remove();
    lab.plugin.del(&quick, &pod).succeeds_silently();
    assert_eq!(reserved(), Vec::<String>::new());
}
