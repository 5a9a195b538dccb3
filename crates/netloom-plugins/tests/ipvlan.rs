//! The ipvlan plugin on the real kernel, each test on a throw-away host of its own.

mod single_link;

use netloom_testkit::{Plugin, Pod, Uplink};
use serde_json::{Value, json};
use single_link::{Lab, Subject, VERSIONS, eth0, every, faults, info, merged, reserved, sysctl};
use std::net::Ipv4Addr;

/// The reference's CHECK needs `master`.
const IPVLAN: Subject = Subject {
    name: "ipvlan",
    kind: "ipvlan",
    keys: || json!({"master": "uplink0"}),
    subnets: ["198.51.100.", "2001:db8:51::"],
    outside: |_| {},
};

fn lab() -> Option<Lab> {
    Lab::new(IPVLAN)
}

#[test]
fn a_pod_reaches_the_outside_in_every_version() {
    every::serves_every_version(IPVLAN, &["198.51.100.1", "2001:db8:51::1", "203.0.113.80"]);
}

#[test]
fn check_names_what_is_no_longer_as_add_made_it() {
    every::check_names_each_drift(
        IPVLAN,
        &[
            (
                json!({}),
                (
                    "ip link set eth0 type ipvlan mode l3",
                    &["ipvlan mode l3 of eth0 does not match expected value: l2"],
                ),
            ),
            (
                json!({"flag": "private"}),
                (
                    "ip link set eth0 type ipvlan mode l2 vepa",
                    &["ipvlan flag vepa of eth0 does not match expected value: private"],
                ),
            ),
            (
                json!({}),
                (
                    "host:ip link set uplink0 address 02:00:00:00:00:99",
                    &["eth0", "02:00:00:00:00:99"],
                ),
            ),
            (
                json!({}),
                (
                    "host:ip link set uplink0 name other; ip link add uplink0 type veth peer name x",
                    &["eth0 does not stand on master \"uplink0\" on the host"],
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
    every::check_knows_its_result(IPVLAN);
}

#[test]
fn del_succeeds_twice_and_frees_the_address_whatever_is_left() {
    every::del_works_in_every_state(IPVLAN);
}

#[test]
fn del_takes_a_bad_configuration_and_goes_on_past_a_failing_ipam_plugin() {
    every::del_takes_what_it_gets(IPVLAN);
}

#[test]
fn del_leaves_links_of_another_kind_and_of_another_pod_alone() {
    every::del_leaves_what_is_not_its_own(IPVLAN);
}

#[test]
fn gc_and_status_speak_for_ipam_and_master() {
    every::gc_and_status_are_forwarded(IPVLAN, true);
    let Some(lab) = lab() else { return };
    lab.host.sh("ip route del default; ip -6 route del default");
    let by_route = lab.quick(json!({"master": null}));
    let error = lab.plugin.status(&by_route).fails_with(50);
    error.names(&["no default route interface found"]);
    // The plugin before may tell the master.
    let chained = lab.layer2(json!({"master": null}));
    lab.plugin.status(&chained).succeeds_silently();
}

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let required: &[&str] = &["ipvlan interface requires an IPAM configuration, or a prevResult"];
    let previous = |interfaces: Value, ips: Value| {
        let result = json!({"cniVersion": "1.1.0", "interfaces": interfaces, "ips": ips});
        json!({"master": null, "ipam": null, "prevResult": result})
    };
    let address = json!([{"address": "10.1.0.5/24"}]);
    let single: &[&str] = &["chained master failure. PrevResult lacks a single named interface"];
    every::bad_requests_change_nothing(
        IPVLAN,
        &[
            (json!({"ipam": null}), 7, required),
            (json!({"ipam": {"type": ""}}), 7, required),
            (
                previous(json!([{"name": "uplink0"}]), json!([])),
                7,
                required,
            ),
            (previous(json!([]), address.clone()), 7, single),
            (previous(json!([{"name": ""}]), address.clone()), 7, single),
            (
                previous(json!([{"name": "a"}, {"name": "b"}]), address.clone()),
                7,
                single,
            ),
            // The kernel refuses the second, when the link is made.
            (
                previous(
                    json!([{"name": "uplink0"}]),
                    json!([{"address": "10.1.0.5/24"}, {"address": "10.1.0.5/24"}]),
                ),
                999,
                &["failed to configure \"eth0\"", "10.1.0.5/24"],
            ),
            (
                previous(json!([{"name": "nope0"}]), address),
                999,
                &["failed to lookup master \"nope0\""],
            ),
            (
                json!({"prevResult": {"cniVersion": "1.1.0", "ips": 7}}),
                6,
                &["prevResult"],
            ),
            (json!({"mode": "L2"}), 7, &["unknown ipvlan mode: \"L2\""]),
            (json!({"mode": 1}), 6, &["mode"]),
            (
                json!({"flag": "none"}),
                7,
                &["unknown ipvlan flag: \"none\""],
            ),
            (json!({"mtu": 67}), 7, &["invalid mtu 67"]),
            (json!({"mtu": 65536}), 7, &["invalid mtu 65536"]),
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
                json!({"linkInContainer": true, "master": null}),
                999,
                &["no default route interface found", "container"],
            ),
            (
                json!({"master": "lo"}),
                999,
                &["failed to create ipvlan \"eth0\" on master \"lo\" on the host"],
            ),
        ],
    );
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
fn the_dns_is_the_ipam_plugins_unless_the_configuration_has_its_own() {
    every::dns_is_ipams_or_the_configurations(IPVLAN);
}

#[test]
fn routes_are_programmed_with_all_their_attributes() {
    every::routes_are_programmed_whole(IPVLAN);
}

#[test]
fn a_link_of_the_host_by_the_pods_name_is_not_in_the_way() {
    every::a_name_taken_on_the_host_does_not_matter(IPVLAN);
}

#[test]
fn go_and_netloom_check_and_delete_what_the_other_made() {
    every::go_and_netloom_hand_over(IPVLAN);
}

#[test]
fn no_program_is_executed_and_no_time_slept_away() {
    every::executes_and_sleeps_nowhere(IPVLAN);
}

#[test]
fn an_add_that_fails_or_dies_anywhere_leaves_nothing() {
    faults::leave_nothing_in_a_guest(IPVLAN);
}

#[test]
fn a_del_that_fails_or_dies_anywhere_is_completed_by_the_next() {
    faults::del_is_completed(IPVLAN);
}

/// Pods in a subnet of their own, to which outside has a route by way of the host.
fn routed(lab: &Lab, keys: Value) -> Value {
    lab.uplink
        .outside
        .ip("route replace 10.200.0.0/24 via 198.51.100.2");
    let ranges = json!([[{"subnet": "10.200.0.0/24", "rangeStart": "10.200.0.50"}]]);
    let ipam = json!({"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]});
    lab.layer2(merged(json!({"ipam": ipam}), keys))
}

#[test]
fn pods_reach_each_other_and_the_outside_in_every_mode() {
    for mode in ["l2", "l3", "l3s"] {
        let Some(lab) = lab() else { return };
        let (conf, subnet) = match mode {
            "l2" => (lab.quick(json!({"mode": mode})), [198, 51, 100]),
            _ => (routed(&lab, json!({"mode": mode})), [10, 200, 0]),
        };
        let address = |last| Ipv4Addr::new(subnet[0], subnet[1], subnet[2], last);
        let pods = ["one", "two"].map(|name| lab.host.pod(name));
        let [one, two] = &pods;
        for pod in &pods {
            let result = lab.plugin.add(&conf, pod).succeeds();
            lab.plugin.check(&conf, &result, pod).succeeds_silently();
        }
        assert_eq!(info(one)["mode"], mode);
        assert!(one.pings(address(51)), "{mode}");
        let seen = one.source_seen_by(two, address(51));
        assert_eq!(seen, Ok(address(50).into()), "{mode}");
        for target in [Uplink::ROUTER[0], Uplink::SERVER[0]] {
            assert!(one.pings(target), "{mode}");
            let seen = one.source_seen_by(&lab.uplink.outside, target);
            assert_eq!(seen, Ok(address(50).into()), "{mode}");
        }
        let seen = lab.uplink.outside.source_seen_by(two, address(51));
        assert_eq!(seen, Ok(Uplink::ROUTER[0]), "{mode}");
    }
}

#[test]
fn the_flag_says_whether_pods_reach_each_other() {
    for flag in [
        Value::Null,
        json!("bridge"),
        json!("private"),
        json!("vepa"),
    ] {
        let Some(lab) = lab() else { return };
        let conf = lab.quick(json!({"flag": flag}));
        let pods = ["one", "two"].map(|name| lab.host.pod(name));
        for pod in &pods {
            let result = lab.plugin.add(&conf, pod).succeeds();
            lab.plugin.check(&conf, &result, pod).succeeds_silently();
        }
        let [one, two] = &pods;
        let direct = flag.is_null() || flag == "bridge";
        // Outside does not send back what came from there.
        assert_eq!(one.pings(Ipv4Addr::new(198, 51, 100, 51)), direct, "{flag}");
        assert!(two.pings(Uplink::ROUTER[0]), "{flag}");
    }
}

#[test]
fn without_a_flag_that_of_the_master_stays_and_with_one_it_is_set() {
    let Some(lab) = lab() else { return };
    for (pod, keys, flag) in [
        ("one", json!({}), "bridge"),
        ("two", json!({"flag": "private"}), "private"),
        ("three", json!({}), "private"),
        ("four", json!({"flag": "bridge"}), "bridge"),
    ] {
        let pod = lab.host.pod(pod);
        let conf = lab.quick(keys);
        let result = lab.plugin.add(&conf, &pod).succeeds();
        assert!(pod.ip("-d link show eth0").contains(flag), "{flag}");
        lab.plugin.check(&conf, &result, &pod).succeeds_silently();
        std::mem::forget(pod); // its ipvlan keeps the master's flag
    }
}

#[test]
fn a_pod_of_another_mode_changes_that_of_all_and_check_tells() {
    let Some(lab) = lab() else { return };
    let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
    let conf = lab.quick(json!({}));
    let result = lab.plugin.add(&conf, &one).succeeds();
    let other = lab.quick(json!({"mode": "l3"}));
    lab.plugin.add(&other, &two).succeeds();
    let error = lab.plugin.check(&conf, &result, &one).fails();
    error.names(&["ipvlan mode l3 of eth0 does not match expected value: l2"]);
}

#[test]
fn the_mtu_is_that_of_the_configuration_or_the_masters() {
    let Some(lab) = lab() else { return };
    lab.host.ip("link set uplink0 mtu 1450");
    for (keys, mtu) in [
        (json!({}), 1450),
        (json!({"mtu": 1400}), 1400),
        (json!({"mtu": 68}), 68),
    ] {
        let pod = lab.host.pod("one");
        let conf = lab.quick(keys);
        let result = lab.plugin.add(&conf, &pod).succeeds();
        assert_eq!(eth0(&pod)["mtu"], mtu);
        assert_eq!(result["interfaces"][0]["mtu"], mtu);
        let master: Value = serde_json::from_str(&lab.host.ip("-j link show uplink0")).unwrap();
        assert_eq!(result["interfaces"][0]["mac"], master[0]["address"]);
        lab.plugin
            .del_with(&conf, &result, &pod)
            .succeeds_silently();
    }
}

#[test]
fn an_mtu_above_the_masters_is_what_the_reference_makes_of_it() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let conf = lab.quick(json!({"cniVersion": "1.0.0", "mtu": 9000}));
    let ours = lab.plugin.add(&conf, &pod);
    ours.succeeds();
    let mtu = eth0(&pod)["mtu"].clone();
    lab.plugin.del(&conf, &pod).succeeds_silently();
    let Some(go) = Plugin::debian("ipvlan") else {
        return;
    };
    go.add(&conf, &pod).succeeds();
    assert_eq!(eth0(&pod)["mtu"], mtu);
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
    ] {
        assert_eq!(sysctl(&pod, key), value, "{key}");
    }
}

#[test]
fn the_default_master_is_that_of_the_default_route() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let conf = lab.quick(json!({"master": null}));
    let result = lab.plugin.add(&conf, &pod).succeeds();
    assert!(pod.pings(Uplink::ROUTER[0]));
    lab.plugin.check(&conf, &result, &pod).succeeds_silently();
    lab.host.sh("ip route del default; ip -6 route del default");
    lab.plugin.check(&conf, &result, &pod).succeeds_silently();
    lab.plugin
        .del_with(&conf, &result, &pod)
        .succeeds_silently();
    let error = lab.plugin.add(&conf, &pod).fails_with(999);
    error.names(&["no default route interface found on the host"]);
    assert_eq!(reserved(), Vec::<String>::new());
}

/// What a plugin before this one might say.
fn previous(version: &str) -> Value {
    let mut ip = json!({"address": "198.51.100.60/24", "gateway": "198.51.100.1"});
    if version < "1.0" {
        ip["version"] = json!("4");
    }
    json!({
        "cniVersion": version, "interfaces": [{"name": "uplink0"}], "ips": [ip],
        "routes": [{"dst": "0.0.0.0/0"}], "dns": {"nameservers": ["10.9.9.9"]},
    })
}

#[test]
fn without_ipam_addresses_and_master_are_those_of_the_plugin_before() {
    for version in VERSIONS.iter().filter(|version| **version >= "0.3") {
        let Some(lab) = lab() else { return };
        let pod = lab.host.pod("one");
        let before = lab.before(&pod);
        let conf = lab.layer2(json!({"cniVersion": version, "master": null}));
        let request = merged(conf.clone(), json!({"prevResult": previous(version)}));
        let result = lab.plugin.add(&request, &pod).succeeds();
        assert_eq!(result["interfaces"].as_array().unwrap().len(), 1);
        assert_eq!(result["interfaces"][0]["name"], "eth0");
        let sandbox = pod.path().to_str().unwrap();
        assert_eq!(result["interfaces"][0]["sandbox"], sandbox);
        assert_eq!(result["ips"][0]["interface"], 0);
        assert_eq!(result["ips"][0]["address"], "198.51.100.60/24");
        assert_eq!(result["routes"], json!([{"dst": "0.0.0.0/0"}]));
        assert_eq!(result["dns"], json!({"nameservers": ["10.9.9.9"]}));
        assert!(pod.pings(Uplink::SERVER[0]), "{version}");
        if *version >= "0.4" {
            lab.plugin.check(&conf, &result, &pod).succeeds_silently();
            pod.ip("addr del 198.51.100.60/24 dev eth0");
            let error = lab.plugin.check(&conf, &result, &pod).fails();
            error.names(&["Failed to match addr 198.51.100.60/24"]);
        }
        lab.plugin
            .del_with(&conf, &result, &pod)
            .succeeds_silently();
        lab.plugin.del(&conf, &pod).succeeds_silently();
        lab.assert_as_before(&before, &pod);
    }
}

#[test]
fn dns_and_master_of_the_configuration_win_over_those_of_the_plugin_before() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let mut previous = previous("1.1.0");
    previous["interfaces"] = json!([{"name": "nope0"}, {"name": "nope1"}]);
    previous["ips"][0]["interface"] = json!(1);
    let own = json!({"prevResult": previous, "dns": {"domain": "example.net"}});
    let result = lab.plugin.add(&lab.layer2(own), &pod).succeeds();
    assert_eq!(result["dns"], json!({"domain": "example.net"}));
    assert!(pod.pings(Uplink::ROUTER[0]));
}

#[test]
fn with_ipam_only_the_master_is_that_of_the_plugin_before() {
    let Some(lab) = lab() else { return };
    lab.host.sh("ip route del default; ip -6 route del default");
    let pod = lab.host.pod("one");
    let keys = json!({"master": null, "prevResult": previous("1.1.0")});
    let result = lab.plugin.add(&lab.quick(keys), &pod).succeeds();
    assert_eq!(result["ips"][0]["address"], "198.51.100.50/24");
    assert_eq!(result["ips"].as_array().unwrap().len(), 1);
    let conf = lab.quick(json!({"master": null}));
    lab.plugin.check(&conf, &result, &pod).succeeds_silently();
    lab.plugin
        .del_with(&conf, &result, &pod)
        .succeeds_silently();
    assert_eq!(reserved(), Vec::<String>::new());
}

#[test]
fn the_plugin_before_may_be_gos_and_this_one_too() {
    let Some(lab) = lab() else { return };
    let Some(go) = Plugin::debian("ipvlan") else {
        return;
    };
    let pod = lab.host.pod("one");
    let before = lab.before(&pod);
    let conf = lab.layer2(json!({"cniVersion": "1.0.0"}));
    let request = merged(conf.clone(), json!({"prevResult": previous("1.0.0")}));
    let mut results = Vec::new();
    for (adds, other) in [(&go, &lab.plugin), (&lab.plugin, &go)] {
        let mut result = adds.add(&request, &pod).succeeds();
        other.check(&conf, &result, &pod).succeeds_silently();
        other.del_with(&conf, &result, &pod).succeeds_silently();
        // Go's DEL knows nothing of what the host remembers of an attachment.
        let after = lab.before(&pod).without_records();
        after.assert_same_as(&before.without_records());
        // The reference drops it.
        result["dns"] = Value::Null;
        results.push(result);
    }
    assert_eq!(results[0], results[1]);
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
    let conf = merged(in_container(&lab, json!({})), json!({"master": null}));
    let result = lab.plugin.add(&conf, &pod).succeeds();
    lab.plugin.check(&conf, &result, &pod).succeeds_silently();
    pod.ip("link del up0");
    assert!(!pod.ip("-o link").contains("eth0"), "it stood on up0");
}

#[test]
fn a_link_that_a_plugin_before_lent_to_the_pod_can_be_the_master() {
    let Some(lab) = lab() else { return };
    let pod: Pod = lab.host.pod("one");
    lab.master_in(&pod);
    let ips = json!([{"address": "10.20.0.5/24", "interface": 0}]);
    let lent = json!([{"name": "up0", "sandbox": pod.path().to_str().unwrap()}]);
    let previous = json!({"cniVersion": "1.1.0", "interfaces": lent, "ips": ips});
    let keys = json!({"linkInContainer": true, "master": null, "prevResult": previous});
    let result = lab.plugin.add(&lab.layer2(keys), &pod).succeeds();
    assert!(pod.pings(Ipv4Addr::new(10, 20, 0, 1)));
    assert_eq!(result["interfaces"][0]["name"], "eth0");
}
