//! The macvlan plugin on the real kernel, each test on a throw-away host of its own.

mod single_link;

use netloom_testkit::{Pod, Uplink};
use serde_json::{Value, json};
use single_link::{Lab, Subject, eth0, every, faults, info, merged, reserved, sysctl};
use std::net::Ipv4Addr;

/// The master is the default route's.
const MACVLAN: Subject = Subject {
    name: "macvlan",
    kind: "macvlan",
    keys: || json!({}),
    subnets: ["198.51.100.", "2001:db8:51::"],
    outside: |_| {},
};

fn lab() -> Option<Lab> {
    Lab::new(MACVLAN)
}

#[test]
fn a_pod_reaches_the_outside_in_every_version() {
    every::serves_every_version(MACVLAN, &["198.51.100.1", "2001:db8:51::1", "203.0.113.80"]);
}

#[test]
fn check_names_what_is_no_longer_as_add_made_it() {
    every::check_names_each_drift(
        MACVLAN,
        &[
            (
                json!({}),
                (
                    "ip link set eth0 address 02:00:00:00:00:99",
                    &["eth0", "02:00:00:00:00:99"],
                ),
            ),
            (
                json!({"mode": "vepa"}),
                (
                    "ip link set eth0 type macvlan mode private",
                    &["mode private", "vepa"],
                ),
            ),
            (
                json!({"bcqueuelen": 500}),
                (
                    "ip link set eth0 type macvlan bcqueuelen 600",
                    &["bcqueuelen 600, not 500"],
                ),
            ),
            (
                json!({"master": "uplink0"}),
                (
                    "host:ip link set uplink0 name other; ip link add uplink0 type veth peer name x",
                    &["eth0", "master \"uplink0\" on the host"],
                ),
            ),
            (
                json!({"master": "uplink0"}),
                (
                    "host:ip link set uplink0 name other",
                    &["failed to lookup master \"uplink0\""],
                ),
            ),
            (
                json!({}),
                (
                    "host:ip route del default; ip -6 route del default",
                    &["no default route interface found"],
                ),
            ),
        ],
    );
}

#[test]
fn check_is_right_about_its_result_and_later_plugins() {
    every::check_knows_its_result(MACVLAN);
}

#[test]
fn del_succeeds_twice_and_frees_the_address_whatever_is_left() {
    every::del_works_in_every_state(MACVLAN);
}

#[test]
fn del_takes_a_bad_configuration_and_goes_on_past_a_failing_ipam_plugin() {
    every::del_takes_what_it_gets(MACVLAN);
}

#[test]
fn del_leaves_links_of_another_kind_and_of_another_pod_alone() {
    every::del_leaves_what_is_not_its_own(MACVLAN);
}

#[test]
fn gc_and_status_speak_for_ipam_and_master() {
    every::gc_and_status_are_forwarded(MACVLAN, true);
    let Some(lab) = lab() else { return };
    lab.host.sh("ip route del default; ip -6 route del default");
    let error = lab.plugin.status(&lab.quick(json!({}))).fails_with(50);
    error.names(&["no default route interface found"]);
}

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    every::bad_requests_change_nothing(
        MACVLAN,
        &[
            (
                json!({"mode": "source"}),
                7,
                &["unknown macvlan mode: \"source\""],
            ),
            (json!({"mode": 1}), 6, &["mode"]),
            (
                json!({"mtu": 1501}),
                7,
                &["invalid MTU 1501, must be [0, master MTU(1500)]"],
            ),
            (
                json!({"mtu": -1}),
                7,
                &["invalid MTU -1", "between 68 and the master's"],
            ),
            (
                json!({"mtu": 67}),
                7,
                &["invalid MTU 67", "between 68 and the master's"],
            ),
            (json!({"mtu": "1400"}), 6, &["mtu"]),
            (
                json!({"master": "nope0"}),
                999,
                &["failed to lookup master \"nope0\"", "host"],
            ),
            (
                json!({"master": "uplink0", "linkInContainer": true}),
                999,
                &["failed to lookup master \"uplink0\"", "container"],
            ),
            (
                json!({"linkInContainer": true}),
                999,
                &["no default route interface found", "container"],
            ),
            (json!({"master": "lo"}), 999, &["macvlan \"eth0\""]),
            (
                json!({"mac": "01:00:5e:00:00:01"}),
                7,
                &["01:00:5e:00:00:01", "unicast"],
            ),
            (json!({"runtimeConfig": {"mac": "x"}}), 7, &["mac", "\"x\""]),
            (json!({"bcqueuelen": -1}), 7, &["bcqueuelen", "-1"]),
        ],
    );
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let conf = lab.quick(json!({}));
    let error = lab
        .add_with(&conf, &pod, &[("CNI_ARGS", "FOO=bar")])
        .fails();
    error.names(&["ARGS: unknown args", "FOO=bar"]);
    assert_eq!(reserved(), Vec::<String>::new());
}

#[test]
fn the_dns_is_the_ipam_plugins_unless_the_configuration_has_its_own() {
    every::dns_is_ipams_or_the_configurations(MACVLAN);
}

#[test]
fn routes_are_programmed_with_all_their_attributes() {
    every::routes_are_programmed_whole(MACVLAN);
}

#[test]
fn a_link_of_the_host_by_the_pods_name_is_not_in_the_way() {
    every::a_name_taken_on_the_host_does_not_matter(MACVLAN);
}

#[test]
fn go_and_netloom_check_and_delete_what_the_other_made() {
    every::go_and_netloom_hand_over(MACVLAN);
}

#[test]
fn no_program_is_executed_and_no_time_slept_away() {
    every::executes_and_sleeps_nowhere(MACVLAN);
}

#[test]
fn a_master_that_is_in_use_otherwise_is_named() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    lab.host.sh("ip link add br0 type bridge
         ip link add port0 type veth peer name port1; ip link set port0 master br0");
    let before = lab.before(&pod);
    let conf = lab.quick(json!({"master": "port0"}));
    let error = lab.plugin.add(&conf, &pod).fails_with(999);
    error.names(&["master \"port0\" on the host, which is a port of a bridge"]);
    lab.assert_as_before(&before, &pod);
}

#[test]
fn an_add_that_fails_or_dies_anywhere_leaves_nothing() {
    faults::leave_nothing_reserved(MACVLAN, &json!({"mac": "02:00:00:00:00:05"}));
}

#[test]
fn a_del_that_fails_or_dies_anywhere_is_completed_by_the_next() {
    faults::del_is_completed(MACVLAN);
}

#[test]
fn an_add_beside_its_master_that_fails_or_dies_anywhere_leaves_nothing() {
    faults::leave_nothing_beside_a_master_in_the_pod(MACVLAN);
}

#[test]
fn mode_mtu_and_queue_length_are_those_of_the_configuration() {
    for mode in ["bridge", "private", "vepa", "passthru"] {
        let Some(lab) = lab() else { return };
        let pod = lab.host.pod("one");
        let conf = lab.quick(json!({"mode": mode, "mtu": 1400, "bcqueuelen": 123}));
        let result = lab.plugin.add(&conf, &pod).succeeds();
        assert_eq!(info(&pod)["mode"], mode);
        assert_eq!(info(&pod)["bcqueuelen"], 123);
        assert_eq!(
            (&eth0(&pod)["mtu"], &result["interfaces"][0]["mtu"]),
            (&json!(1400), &json!(1400))
        );
        lab.plugin.check(&conf, &result, &pod).succeeds_silently();
        assert!(pod.pings(Uplink::ROUTER[0]), "{mode}");
        lab.plugin
            .del_with(&conf, &result, &pod)
            .succeeds_silently();
    }
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    lab.host.ip("link set uplink0 mtu 1300");
    let result = lab.plugin.add(&lab.quick(json!({})), &pod).succeeds();
    assert_eq!(result["interfaces"][0]["mtu"], 1300, "0 is the master's");
    assert_eq!(info(&pod)["mode"], "bridge", "the default");
}

fn two_pods(lab: &Lab, mode: &str) -> [Pod; 2] {
    ["one", "two"].map(|name| {
        let pod = lab.host.pod(name);
        lab.plugin
            .add(&lab.quick(json!({"mode": mode})), &pod)
            .succeeds();
        pod
    })
}

#[test]
fn pods_reach_each_other_in_bridge_mode_only() {
    for (mode, reach) in [("bridge", true), ("private", false)] {
        let Some(lab) = lab() else { return };
        let [one, two] = two_pods(&lab, mode);
        assert_eq!(one.pings(Ipv4Addr::new(198, 51, 100, 51)), reach, "{mode}");
        assert!(two.pings(Uplink::ROUTER[0]));
    }
}

#[test]
fn the_runtimes_mac_wins_over_the_arguments_which_win_over_the_configuration() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let runtime =
        json!({"mac": "02:00:00:00:00:01", "runtimeConfig": {"mac": "02:00:00:00:00:03"}});
    let args = [(
        "CNI_ARGS",
        "IgnoreUnknown=1;K8S_POD_NAME=p;MAC=02:00:00:00:00:02",
    )];
    let config = json!({"mac": "02:00:00:00:00:01"});
    for (keys, args, mac) in [
        (&config, &[][..], "02:00:00:00:00:01"),
        (&config, &args[..], "02:00:00:00:00:02"),
        (&runtime, &args[..], "02:00:00:00:00:03"),
    ] {
        let conf = lab.layer2(keys.clone());
        let result = lab.add_with(&conf, &pod, args).succeeds();
        assert_eq!(
            (&result["interfaces"][0]["mac"], &eth0(&pod)["address"]),
            (&json!(mac), &json!(mac))
        );
        lab.plugin.del(&conf, &pod).succeeds_silently();
    }
}

#[test]
fn without_ipam_the_link_is_up_and_has_no_address() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let before = lab.before(&pod);
    let conf = lab.layer2(json!({}));
    let result = lab.plugin.add(&conf, &pod).succeeds();
    assert!(result.get("ips").is_none(), "{result}");
    lab.plugin.check(&conf, &result, &pod).succeeds_silently();
    assert_eq!(pod.ip("-4 -o addr show dev eth0"), "");
    assert_eq!(sysctl(&pod, "net/ipv4/conf/eth0/arp_notify"), "0");
    pod.ip("link set eth0 down");
    lab.plugin
        .check(&conf, &result, &pod)
        .fails()
        .names(&["eth0 is down"]);
    lab.plugin
        .del_with(&conf, &result, &pod)
        .succeeds_silently();
    lab.assert_as_before(&before, &pod);
}

#[test]
fn neighbours_are_told_of_the_addresses() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    lab.plugin.add(&lab.conf(json!({})), &pod).succeeds();
    for (key, value) in [
        ("net/ipv4/conf/eth0/arp_notify", "1"),
        ("net/ipv6/conf/eth0/ndisc_notify", "1"),
        ("net/ipv6/conf/eth0/keep_addr_on_down", "1"),
        ("net/ipv6/conf/eth0/accept_dad", "1"),
    ] {
        assert_eq!(sysctl(&pod, key), value, "{key}");
    }
}

fn in_container(lab: &Lab, keys: Value) -> Value {
    let ipam = json!({"type": "static", "addresses": [{"address": "10.20.0.5/24"}]});
    lab.layer2(merged(json!({"linkInContainer": true, "ipam": ipam}), keys))
}

#[test]
fn the_master_may_be_in_the_container() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    lab.master_in(&pod);
    let before = lab.before(&pod);
    let conf = in_container(&lab, json!({"master": "up0"}));
    let result = lab.plugin.add(&conf, &pod).succeeds();
    assert!(pod.pings(Ipv4Addr::new(10, 20, 0, 1)));
    lab.plugin.check(&conf, &result, &pod).succeeds_silently();
    let elsewhere = merged(
        conf.clone(),
        json!({"linkInContainer": false, "master": "uplink0"}),
    );
    let error = lab.plugin.check(&elsewhere, &result, &pod).fails();
    error.names(&["master \"uplink0\" on the host"]);
    lab.plugin
        .del_with(&conf, &result, &pod)
        .succeeds_silently();
    lab.assert_as_before(&before, &pod);
    let quick = lab.quick(json!({"linkInContainer": true, "master": "up0"}));
    lab.plugin.add(&quick, &pod).succeeds();
    pod.sh("ip link set up0 down; ip link set up0 name up9");
    lab.plugin.del(&quick, &pod).succeeds_silently();
    assert!(!pod.ip("-o link").contains("eth0"));
    pod.sh("ip link set up9 name up0");
    lab.plugin.add(&quick, &pod).succeeds();
    pod.remove();
    lab.plugin.del(&quick, &pod).succeeds_silently();
    assert_eq!(reserved(), Vec::<String>::new());
}

#[test]
fn the_default_master_in_the_container_is_that_of_its_default_route() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    lab.master_in(&pod);
    pod.sh("ip addr add 10.20.0.9/24 dev up0; ip route add default via 10.20.0.1");
    let conf = in_container(&lab, json!({}));
    let result = lab.plugin.add(&conf, &pod).succeeds();
    lab.plugin.check(&conf, &result, &pod).succeeds_silently();
    pod.ip("link del up0");
    assert!(!pod.ip("-o link").contains("eth0"), "it stood on up0");
}

#[test]
fn the_default_master_is_that_of_the_main_tables_default_route_and_ipv4_comes_first() {
    for (routes, master) in [
        ("ip route del default", "uplink0"), // by IPv6
        (
            "ip route del default; ip route add default via 10.7.0.1 dev other",
            "other",
        ),
        (
            "ip -6 route del default; ip route add default via 10.7.0.1 dev other metric 10",
            "uplink0",
        ),
        (
            "ip route replace default nexthop via 10.7.0.1 dev other nexthop via 198.51.100.1",
            "other",
        ),
        // A VPN: rules, and routes that are more specific than the default one.
        (
            "ip route add default dev other table 100; ip rule add from all table 100",
            "uplink0",
        ),
        (
            "ip route add 128.0.0.0/1 dev other; ip route add 0.0.0.0/1 dev other",
            "uplink0",
        ),
        (
            "ip route add unreachable default metric 5 table 200; ip rule add from all table 200",
            "uplink0",
        ),
    ] {
        let Some(lab) = lab() else { return };
        lab.host.sh(
            "ip link add other type veth peer name rehto; ip link set rehto up
             ip link set other up; ip addr add 10.7.0.2/24 dev other",
        );
        lab.host.sh(routes);
        let pod = lab.host.pod("one");
        lab.plugin.add(&lab.layer2(json!({})), &pod).succeeds();
        lab.host.ip(&format!("link del {master}"));
        assert!(
            !pod.ip("-o link").contains("eth0"),
            "{routes}: not on {master}"
        );
    }
}

#[test]
fn an_add_asks_for_one_route_and_dumps_none() {
    let Some(lab) = lab() else { return };
    if !netloom_testkit::probe::has_program("strace") {
        return netloom_testkit::skip("needs strace");
    }
    let pod = lab.host.pod("one");
    let call = lab.plugin.call("ADD", &lab.quick(json!({}))).pod(&pod);
    let options = [
        "-f",
        "-o",
        "/run/trace",
        "-e",
        "trace=socket,sendto,sendmsg",
    ];
    call.under("strace", &options).run().succeeds();
    let trace = lab.host.sh("cat /run/trace");
    // Is the name taken, which route, its link, make, look at it, has the pod a default route yet,
    // configure, tell: all of it.
    assert_eq!(trace.matches("sendto(").count(), 8, "{trace}");
    assert!(
        !trace.contains("AF_PACKET"),
        "who closes such a socket waits: {trace}"
    );
    assert!(
        !trace.contains("NLM_F_DUMP") && !trace.contains("0x300"),
        "{trace}"
    );
}
