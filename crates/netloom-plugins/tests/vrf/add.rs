//! What ADD makes.

use crate::lab::{Lab, chained, conf, give, lab, lab_with, made, plugin_dir};
use netloom_testkit::{Trace, parallel};
use serde_json::json;

fn assert_all_moved(lab: &Lab, table: &str) {
    let [v4, v6] = lab.routes(table);
    for route in [
        "172.30.0.0/16 via 10.1.0.1 dev eth0 mtu 1300",
        "10.8.0.0/16 dev eth0 scope link",
        "default via 10.1.0.1 dev eth0 metric 5",
        "10.1.0.0/24 dev eth0 proto kernel scope link src 10.1.0.2",
    ] {
        assert!(v4.contains(route), "{route}: {v4}");
    }
    for route in [
        "2001:db8:30::/48 via fd00:1::1 dev eth0 src fd00:1::2",
        "default via fd00:1::1 dev eth0",
        "fd00:1::/64 dev eth0 proto kernel",
    ] {
        assert!(v6.contains(route), "{route}: {v6}");
    }
    assert!(lab.routes("60")[0].contains("10.9.0.0/16 via 10.1.0.1 dev eth0"));
    assert!(
        lab.pod
            .ip("-6 address show dev eth0")
            .contains("fd00:1::2/64")
    );
    let [v4, v6] = lab.routes("main");
    assert!(!v4.contains("eth0") && !v6.contains("eth0"), "{v4}\n{v6}");
}

#[test]
fn routes_and_ipv6_addresses_are_kept_whether_or_not_the_kernel_keeps_addresses() {
    for keep in [true, false] {
        let Some(lab) = lab_with(plugin_dir(), keep) else {
            return;
        };
        let before = lab.snapshot();
        let result = lab.add("eth0", json!({}));
        assert_eq!(
            result,
            made("eth0", "1.1.0"),
            "the result is passed through"
        );
        assert_eq!(lab.vrfs(), [("blue".to_owned(), 1)]);
        assert_eq!(lab.master("eth0").as_deref(), Some("blue"));
        assert_all_moved(&lab, "1");
        for target in ["10.1.0.1", "fd00:1::1"] {
            assert!(lab.pings_by("blue", target), "{target}");
        }
        lab.run("CHECK", "eth0", &chained("eth0", json!({})))
            .succeeds_silently();
        lab.del("eth0", json!({}));
        assert_eq!(lab.vrfs(), []);
        lab.snapshot().assert_same_as(&before);
    }
}

#[test]
fn duplicate_address_detection_is_waited_for_and_routes_that_need_the_address_with_it() {
    for keep in [true, false] {
        let Some(lab) = lab_with(plugin_dir(), keep) else {
            return;
        };
        lab.pod.sh("echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_dad
             ip addr del fd00:1::2/64 dev eth0
             ip addr add fd00:1::2/64 dev eth0
             timeout 9 sh -c 'while ip addr show tentative | grep -q fd00:; do sleep 0.05; done'
             ip -6 route replace 2001:db8:30::/48 via fd00:1::1 dev eth0 src fd00:1::2");
        let before = lab.snapshot();
        lab.add("eth0", json!({}));
        assert_all_moved(&lab, "1");
        assert_eq!(lab.pod.ip("address show tentative dev eth0"), "");
        lab.del("eth0", json!({}));
        let restored =
            "timeout 9 sh -c 'while ip addr show tentative | grep -q fd00:; do sleep 0.05; done'";
        lab.pod.sh(restored);
        let difference = lab.snapshot().difference_from(&before).to_string();
        // DEL does not wait: what needs the address for its source is lost with the link.
        let expected = difference
            .lines()
            .all(|line| line.contains("2001:db8:30::/48"));
        assert!(expected, "{difference}");
    }
}

#[test]
fn it_works_in_every_version_that_it_has() {
    for version in ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let Some(lab) = lab() else { return };
        let before = lab.snapshot();
        let keys = json!({"cniVersion": version, "table": 77});
        let result = lab.add("eth0", keys.clone());
        assert_eq!(result["cniVersion"], version);
        assert_eq!(lab.vrfs(), [("blue".to_owned(), 77)]);
        assert_all_moved(&lab, "77");
        lab.run("DEL", "eth0", &conf(keys)).succeeds_silently();
        lab.snapshot().assert_same_as(&before);
    }
}

#[test]
fn vrfs_isolate_interfaces_with_the_same_addresses() {
    let Some(lab) = lab() else { return };
    lab.add("eth0", json!({}));
    give(&lab.pod, "net1");
    lab.add("net1", json!({"vrfname": "red"}));
    assert_eq!(lab.vrfs(), [("blue".to_owned(), 1), ("red".to_owned(), 2)]);
    let [north, south] = &lab.routers;
    for target in ["10.1.0.1", "fd00:1::1"] {
        assert!(!lab.pings_by("", target), "{target} outside of both");
        for (vrf, there, other) in [("blue", north, south), ("red", south, north)] {
            other.ip("link set pod down");
            assert!(lab.pings_by(vrf, target), "{target} in {vrf}");
            other.sh("ip link set pod up
                 ip -6 addr replace fd00:1::1/64 dev pod nodad");
            there.ip("link set pod down");
            assert!(
                !lab.pings_by(vrf, target),
                "{target} in {vrf}, which is cut off"
            );
            there.sh("ip link set pod up
                 ip -6 addr replace fd00:1::1/64 dev pod nodad");
        }
    }
}

#[test]
fn a_vrf_is_shared_and_goes_with_its_last_member() {
    let Some(lab) = lab() else { return };
    let before = lab.snapshot();
    lab.add("eth0", json!({}));
    lab.add("net1", json!({"table": 1}));
    assert_eq!(lab.vrfs(), [("blue".to_owned(), 1)]);
    lab.del("eth0", json!({}));
    assert_eq!(lab.vrfs(), [("blue".to_owned(), 1)]);
    assert_eq!(
        (lab.master("eth0"), lab.master("net1").is_some()),
        (None, true)
    );
    lab.del("net1", json!({}));
    lab.snapshot().assert_same_as(&before);
}

#[test]
fn tables_in_use_are_not_chosen() {
    let Some(lab) = lab() else { return };
    lab.pod.sh("ip link add other type vrf table 1
         ip rule add from 198.51.100.9 lookup 2
         ip route add 198.51.100.0/24 via 10.1.0.1 table 3
         ip -6 route add 2001:db8:51::/48 via fd00:1::1 table 4");
    lab.add("eth0", json!({}));
    assert!(
        lab.vrfs().contains(&("blue".to_owned(), 5)),
        "{:?}",
        lab.vrfs()
    );
}

#[test]
fn interfaces_that_join_and_leave_at_the_same_time_agree_on_one_vrf() {
    for _ in 0..5 {
        let Some(lab) = lab() else { return };
        let before = lab.snapshot();
        let names = ["eth0", "net1"];
        for command in ["ADD", "DEL"] {
            let calls =
                names.map(|name| lab.call(&lab.vrf, command, name, &chained(name, json!({}))));
            for outcome in parallel(2, 2, |index| calls[index].run()) {
                outcome.succeeds();
            }
        }
        lab.snapshot().assert_same_as(&before);
    }
}

#[test]
fn nothing_is_executed_and_nobody_sleeps() {
    let Some(lab) = lab() else { return };
    let request = chained("eth0", json!({}));
    for command in ["ADD", "CHECK", "DEL"] {
        let call = lab.call(&lab.vrf, command, "eth0", &request);
        let Some(trace) = Trace::of(&call) else {
            return;
        };
        assert!(trace.outcome.is_success(), "{}", trace.outcome);
        assert!(
            trace.executions().is_empty(),
            "{command}: {:?}",
            trace.executions()
        );
        assert!(trace.sleeps().is_empty(), "{command}: {:?}", trace.sleeps());
    }
}
