use crate::support::{HOST_END, Lab, both, conf, conf_in};
use netloom_kernel::rtnl::Socket;
use netloom_kernel::rtnl::tc::{Discipline, Handle, QdiscSpec, Tbf};
use netloom_testkit::Plugin;
use serde_json::json;

#[test]
fn drift_in_every_object_is_named_and_nothing_is_mended() {
    let bucket = |rate: &str, burst: &str, latency: &str| {
        format!("root handle 1: tbf rate {rate} burst {burst} latency {latency}")
    };
    let host = |bucket: String| format!("tc qdisc replace dev {HOST_END} {bucket}");
    let ifb = |bucket: String| format!("tc qdisc replace dev $IFB {bucket}");
    for (drift, words) in [
        (
            host(bucket("9mbit", "20000", "25ms")),
            ["Rate doesn't match", "1125000, not 1000000"],
        ),
        (
            host(bucket("8mbit", "20000", "30ms")),
            ["Limit doesn't match", "50000, not 45000"],
        ),
        (
            host(bucket("8mbit", "21000", "24ms")),
            ["Buffer doesn't match", "not 312500"],
        ),
        (
            format!("tc qdisc del dev {HOST_END} root"),
            ["Failed to find qdisc tbf", HOST_END],
        ),
        (
            format!("tc qdisc del dev {HOST_END} root; tc qdisc add dev {HOST_END} root pfifo"),
            ["has the qdisc pfifo, not tbf", HOST_END],
        ),
        (
            ifb(bucket("17mbit", "40000", "25ms")),
            ["Rate doesn't match", "2125000, not 2000000"],
        ),
        (
            ifb(bucket("16mbit", "40000", "26ms")),
            ["Limit doesn't match", "92000, not 90000"],
        ),
        (
            "tc qdisc del dev $IFB root".into(),
            ["Failed to find qdisc tbf", "bwp"],
        ),
        ("ip link del $IFB".into(), ["get ifb device", "not found"]),
        ("ip link set $IFB down".into(), ["bwp", "down"]),
        (
            format!("tc filter del dev {HOST_END} ingress"),
            ["Failed to find filter", "redirects"],
        ),
        (
            format!("tc qdisc del dev {HOST_END} ingress"),
            ["Failed to find filter", "redirects"],
        ),
        (
            format!("ip link del {HOST_END}"),
            ["container interface eth0 has no veth peer", "eth0"],
        ),
    ] {
        let Some(lab) = Lab::new() else { return };
        let pod = lab.pod();
        let result = lab.plugin.add(&conf(both()), &pod).succeeds();
        lab.plugin
            .check(&conf(both()), &result, &pod)
            .succeeds_silently();
        lab.host.sh(&format!("IFB={}; {drift}", lab.ifbs()[0]));
        let before = lab.snapshot(&[&pod]);
        let error = lab
            .plugin
            .check(&conf(both()), &result, &pod)
            .fails_with(999);
        error.names(&words);
        lab.snapshot(&[&pod]).assert_same_as(&before);
    }
}

#[test]
fn drift_in_classes_queues_and_subnets_is_named() {
    for (drift, words) in [
        (
            "tc class change dev $L classid 1:30 htb rate 9mbit",
            ["Rate doesn't match", "class 1:30"],
        ),
        (
            "tc class change dev $L classid 1:30 htb rate 8mbit burst 30000",
            ["Buffer doesn't match", "class 1:30"],
        ),
        (
            "tc class change dev $L classid 1:1 htb rate 9mbit",
            ["Rate doesn't match", "class 1:1"],
        ),
        (
            "tc qdisc change dev $L parent 1:30 bfifo limit 7",
            ["Limit doesn't match", "7, not 45000"],
        ),
        (
            "tc filter del dev $L parent 1: prio 16",
            ["Failed to find filter", "class 1:1"],
        ),
        (
            "tc qdisc del dev $L root",
            ["Failed to find qdisc htb", HOST_END],
        ),
    ] {
        let Some(lab) = Lab::new() else { return };
        let pod = lab.pod();
        let mut conf = conf(both());
        conf["unshapedSubnets"] = json!(["10.0.0.0/8", "fd00::/8"]);
        let result = lab.plugin.add(&conf, &pod).succeeds();
        lab.plugin.check(&conf, &result, &pod).succeeds_silently();
        lab.host.sh(&format!("L={HOST_END}; {drift}"));
        let error = lab.plugin.check(&conf, &result, &pod).fails_with(999);
        error.names(&words);
    }
}

#[test]
fn a_result_and_a_namespace_are_needed() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod();
    let none = conf(json!({"prevResult": null}));
    let error = lab
        .plugin
        .call("CHECK", &none)
        .pod(&pod)
        .run()
        .fails_with(7);
    error.names(&["must be called as a chained plugin"]);
    let gone = lab.plugin.call("CHECK", &conf(both())).pod(&pod);
    gone.env("CNI_NETNS", "/run/netns/gone").run().fails_with(8);
}

#[test]
fn what_the_longest_burst_becomes_is_no_drift() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod();
    // What containerd asks for where only a rate was given.
    let most = u64::from(u32::MAX);
    let conf = conf(json!({"ingressRate": 1_000_000, "ingressBurst": most,
        "egressRate": 1_000_000, "egressBurst": most}));
    let result = lab.plugin.add(&conf, &pod).succeeds();
    lab.plugin.check(&conf, &result, &pod).succeeds_silently();
}

#[test]
fn what_was_made_of_a_long_burst_up_to_commit_17b6fbc_is_no_drift() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.pod();
    let conf = conf(json!({"ingressRate": 1_000_000, "ingressBurst": i32::MAX}));
    let result = lab.plugin.add(&conf, &pod).succeeds();
    let host = Socket::open().unwrap();
    let link = host.get_link(HOST_END).unwrap().index;
    let replace = |limit| {
        let tbf = Tbf {
            rate: 125_000,
            limit,
            buffer: 67_108_863,
        };
        host.remove_qdisc(link, Handle::ROOT).unwrap();
        let spec = QdiscSpec {
            link,
            parent: Handle::ROOT,
            handle: Handle::new(1, 0),
            discipline: Discipline::Tbf(tbf),
        };
        host.add_qdisc(&spec).unwrap();
    };
    replace(268_438_580);
    lab.plugin.check(&conf, &result, &pod).succeeds_silently();
    replace(268_438_581);
    let error = lab.plugin.check(&conf, &result, &pod).fails_with(999);
    error.names(&["Limit doesn't match", "268438581, not 34362863"]);
}

#[test]
fn what_the_go_plugin_adds_with_the_burst_that_cri_sends_is_no_drift() {
    for (rate, burst) in [
        (1_000_000, i32::MAX as u64),
        (1_000_000, 4_294_967_288),
        (64_000, 34_359_738_352),
    ] {
        let Some(lab) = Lab::new() else { return };
        let Some(go) = Plugin::debian("bandwidth") else {
            return;
        };
        let pod = lab.pod();
        let conf = conf_in(
            "1.0.0",
            json!({"ingressRate": rate, "ingressBurst": burst,
            "egressRate": rate, "egressBurst": burst}),
        );
        let result = go.add(&conf, &pod).succeeds();
        lab.plugin.check(&conf, &result, &pod).succeeds_silently();
        lab.plugin
            .del_with(&conf, &result, &pod)
            .succeeds_silently();
    }
}
