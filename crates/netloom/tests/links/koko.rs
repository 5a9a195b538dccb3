//! `koko`: what its README and its tests call, and what it gets wrong (D1 to D13).

use crate::{host, koko, snapshot, succeeds};

#[track_caller]
fn makes(line: &str) {
    let outcome = koko(line);
    assert!(
        outcome.is_success() && outcome.stdout.is_empty(),
        "{outcome}"
    );
}

#[track_caller]
fn refuses(line: &str, words: &str) {
    let outcome = koko(line);
    assert_eq!(outcome.code(), Some(1), "{outcome}");
    assert!(outcome.stderr.contains(words), "no {words:?} in\n{outcome}");
}

const PAIR: &str = "-n blue,in1,192.168.2.100/24 -n red,in2,192.168.2.101/24";

#[test]
fn the_readmes_pairs_work() {
    let Some((host, pods)) = host(["blue", "red"]) else {
        return;
    };
    makes_name();
    let before = snapshot(&host, &pods);
    makes(PAIR);
    assert!(pods[0].pings([192, 168, 2, 101]));
    makes("-N blue,in1");
    makes(&format!(
        "-a {},in1,10.0.0.1/24,fd00::1/64 -c here,10.0.0.2/24,fd00::2/64",
        pods[0].path().display()
    ));
    assert!(pods[0].pings([10, 0, 0, 2]));
    assert!(pods[0].pings("fd00::2".parse::<std::net::IpAddr>().unwrap()));
    makes("-C here");
    snapshot(&host, &pods).assert_same_as(&before);
}

/// Puts the name into the host before a snapshot is taken.
fn makes_name() {
    let outcome = koko("-v");
    assert!(
        outcome.is_success() && outcome.stdout.contains("netloom"),
        "{outcome}"
    );
}

#[test]
fn d1_what_fails_has_an_exit_status_and_a_word() {
    let Some((host, pods)) = host(["blue", "red"]) else {
        return;
    };
    makes_name();
    let before = snapshot(&host, &pods);
    refuses(
        "-n blue,in1 -n green,in2",
        "\"/run/netns/green\" does not exist",
    );
    refuses(
        "-n blue,in1 -x eth9,192.0.2.7,5",
        "host has no interface of that name",
    );
    refuses(
        "-n blue,in1 -M eth9,bridge",
        "host has no interface of that name",
    );
    refuses("-d web,in1 -n red,in2", "docker does not run");
    refuses("-e abc,in1 -n red,in2", "no such container runs");
    snapshot(&host, &pods).assert_same_as(&before);
}

#[test]
fn d2_a_link_that_is_there_is_seen() {
    let Some((host, pods)) = host(["blue", "red", "green"]) else {
        return;
    };
    makes(PAIR);
    let made = snapshot(&host, &pods);
    refuses("-n blue,in1 -n green,in9", "has an interface \"in1\"");
    snapshot(&host, &pods).assert_same_as(&made);
}

#[test]
fn d3_no_link_is_made_elsewhere_and_moved() {
    let Some((_host, pods)) = host(["blue", "red"]) else {
        return;
    };
    makes(PAIR);
    // A link that was made in the host and moved has an index that follows the host's.
    assert!(
        pods[0].ip("-o link show in1").starts_with("2: "),
        "{}",
        pods[0].ip("-o link")
    );
    let Some(trace) =
        netloom_testkit::Trace::of(&crate::netloom("link add ns:blue/in3 ns:red/in3"))
    else {
        return;
    };
    assert!(trace.sleeps().is_empty(), "{:?}", trace.sleeps());
    assert!(trace.executions().len() <= 1);
}

#[test]
fn d4_a_mirror_goes_with_any_kind_and_a_failed_one_takes_the_link_along() {
    let Some((host, pods)) = host(["blue", "red"]) else {
        return;
    };
    host.sh("ip link add up0 type veth peer name up1; ip link set up0 up");
    makes(PAIR);
    makes("-n blue,tap0,mirror:both:in1 -M up0,bridge");
    assert!(
        pods[0]
            .sh("tc filter show dev in1 egress")
            .contains("Mirror to device tap0")
    );
    makes("-N blue,tap0");
    assert!(!pods[0].sh("tc qdisc show dev in1").contains("clsact"));
    let before = snapshot(&host, &pods);
    refuses(
        "-n blue,tap0,mirror:both:in9 -M up0,bridge",
        "has no interface \"in9\"",
    );
    snapshot(&host, &pods).assert_same_as(&before);
}

#[test]
fn d5_filters_of_others_stay() {
    let Some((_host, pods)) = host(["blue", "red"]) else {
        return;
    };
    makes(PAIR);
    pods[0].sh("tc qdisc add dev in1 clsact");
    pods[0].sh(
        "tc filter add dev in1 ingress pref 7 u32 match u32 0 0 action mirred egress mirror dev lo",
    );
    makes("-n blue,tap0,mirror:ingress:in1 -n red,tap1");
    makes("-N blue,tap0");
    let filters = pods[0].sh("tc filter show dev in1 ingress");
    assert!(
        filters.contains("pref 7") && !filters.contains("tap0"),
        "{filters}"
    );
}

#[test]
fn d6_a_name_of_the_host_is_no_obstacle_in_a_pod() {
    let Some((host, pods)) = host(["blue"]) else {
        return;
    };
    host.sh("ip link add up0 type veth peer name up1; ip link set up0 up");
    makes("-n blue,up0 -M up0,bridge");
    assert!(pods[0].ip("-d link show up0").contains("macvlan"));
    assert!(host.ip("-d link show up0").contains("veth"));
    makes("-N blue,up0");
    assert!(host.ip("-d link show up0").contains("veth"));
}

#[test]
fn d7_d8_d9_what_was_ignored_or_made_it_panic_is_refused() {
    let Some((host, pods)) = host(["blue", "red"]) else {
        return;
    };
    makes_name();
    let before = snapshot(&host, &pods);
    refuses(&format!("{PAIR} -V eth0,7"), "leave either out");
    refuses(
        "-n blue,a -x lo,192.0.2.1,5,port=x",
        "port \"x\" is no number",
    );
    refuses(
        "-n blue,a -x lo,192.0.2.1,5,mtu=x",
        "mtu \"x\" is no number",
    );
    refuses("-n blue -n red,in2", "lacks the name of the interface");
    refuses("-n blue,a -M lo,fast", "mode \"fast\" is none of a macvlan");
    snapshot(&host, &pods).assert_same_as(&before);
}

#[test]
fn d10_what_is_made_twice_or_removed_twice_is_well() {
    let Some((_host, pods)) = host(["blue", "red"]) else {
        return;
    };
    makes(PAIR);
    let made = pods[0].ip("-o link show in1");
    makes(PAIR);
    assert_eq!(pods[0].ip("-o link show in1"), made);
    makes("-N blue,in1");
    let again = koko("-N blue,in1");
    assert!(
        again.is_success() && again.stderr.contains("is not there"),
        "{again}"
    );
}

#[test]
fn d12_an_address_of_ipv6_is_usable_at_once() {
    let Some((_host, pods)) = host(["blue", "red"]) else {
        return;
    };
    pods[0].sh("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
    makes("-n blue,in1,fd00::1/64 -n red,in2,fd00::2/64");
    let shown = pods[0].ip("-6 addr show in1 scope global");
    assert!(
        shown.contains("fd00::1/64") && !shown.contains("tentative"),
        "{shown}"
    );
    assert!(pods[0].pings("fd00::2".parse::<std::net::IpAddr>().unwrap()));
}

#[test]
fn d13_routes_mac_mtu_and_lists_are_there_under_the_other_name() {
    let Some((_host, pods)) = host(["blue", "red"]) else {
        return;
    };
    succeeds(
        "link add ns:blue/in1,10.0.0.1/24,mtu=4000,mac=02:00:00:00:00:09,route=default@10.0.0.2 \
         ns:red/in2,10.0.0.2/24,mtu=4000",
    );
    let shown = pods[0].ip("link show in1");
    assert!(
        shown.contains("mtu 4000") && shown.contains("02:00:00:00:00:09"),
        "{shown}"
    );
    assert!(pods[0].ip("route").contains("default via 10.0.0.2"));
    assert!(succeeds("link ls").contains("ns:red/in2"));
}

#[test]
fn a_vxlan_is_as_koko_makes_it() {
    let Some((host, pods)) = host(["blue"]) else {
        return;
    };
    host.sh("ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up");
    host.sh("ip addr add 192.0.2.1/24 dev up0");
    makes_name();
    let before = snapshot(&host, &pods);
    makes("-n blue,in1,10.0.0.1/24 -X up0,192.0.2.7,100,mtu=1400");
    let shown = pods[0].ip("-d link show in1");
    for part in [
        "vxlan id 100",
        "remote 192.0.2.7",
        "dstport 4789",
        "mtu 1400",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
    makes("-N blue,in1");
    snapshot(&host, &pods).assert_same_as(&before);
}
