//! ADD: sources, settings, consent, containers that follow each other, many links.

use crate::lab::{conf, files, has, interfaces, lab, link, pair, primary, with};
use netloom_testkit::{Trace, parallel};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[test]
fn links_come_from_the_runtime_args_the_configuration_and_annotations() {
    let of_one = link("default/two", "in1", "in2", "192.168.2.100/24");
    let of_two = link("default/one", "in2", "in1", "192.168.2.101/24");
    let ways: [fn(Value) -> Value; 4] = [
        |links| json!({"runtimeConfig": {"links": links}}),
        |links| json!({"args": {"cni": {"links": links}}}),
        |links| json!({"links": links}),
        |links| {
            json!({"runtimeConfig": {"io.kubernetes.cri.pod-annotations":
                {"netloom.dev/links": links.to_string()}}})
        },
    ];
    for way in ways {
        let Some(lab) = lab() else { return };
        let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
        lab.add(&one, &with(way(json!([of_one]))));
        lab.add(&two, &with(way(json!([of_two]))));
        assert!(one.pings([192, 168, 2, 101]));
        // A source that is not in the list is not looked at.
        let other = lab.host.pod("other");
        let mut conf = with(way(json!([of_one])));
        conf["source"] = json!([]);
        lab.add(&other, &conf);
        assert_eq!(files().iter().filter(|name| name.contains(':')).count(), 2);
    }
}

#[test]
fn an_end_gets_what_its_own_pod_asked_for() {
    let Some(lab) = lab() else { return };
    let before = lab.snapshot(&[]);
    let (one, two) = (lab.host.pod("primary"), lab.host.pod("pair"));
    let mut of_one = link("default/pair", "in1", "in2", "192.168.2.100/24");
    of_one["addresses"] = json!(["192.168.2.100/24", "fd00:2::100/64"]);
    of_one["mac"] = json!("02:00:00:00:00:01");
    of_one["mtu"] = json!(9000);
    of_one["routes"] = json!([{"dst": "10.20.0.0/16", "gw": "192.168.2.101"}]);
    // What it says of the other's end is for one that says nothing.
    of_one["peerAddresses"] = json!(["192.168.2.66/24"]);
    let mut of_two = link("default/primary", "in2", "in1", "192.168.2.101/24");
    of_two["addresses"] = json!(["192.168.2.101/24", "fd00:2::101/64"]);
    of_two["mtu"] = json!(4000);
    let (of_one, of_two) = (conf(json!([of_one])), conf(json!([of_two])));
    lab.add(&two, &of_two);
    let result = lab.add(&one, &of_one);
    assert_eq!(interfaces(&result), ["in1"]);
    let reported = &result["interfaces"][0];
    assert_eq!(reported["mac"], "02:00:00:00:00:01");
    assert_eq!(
        (&reported["mtu"], &reported["sandbox"]),
        (&json!(4000), &json!("/run/netns/primary"))
    );
    // Runtimes take the first address for the pod's.
    assert_eq!(result["ips"].as_array().map_or(0, Vec::len), 0);
    // IPv6 is usable at once.
    assert!(one.pings("fd00:2::101".parse::<std::net::Ipv6Addr>().unwrap()));
    assert!(one.pings([192, 168, 2, 101]));
    assert!(
        one.ip("route")
            .contains("10.20.0.0/16 via 192.168.2.101 dev in1")
    );
    assert!(!two.ip("addr").contains("192.168.2.66"));
    lab.check(&one, &of_one).succeeds_silently();
    let mut full = of_one.clone();
    full["report"] = json!("full");
    let result = lab.add(&one, &full);
    assert_eq!(result["ips"][0]["address"], "192.168.2.100/24");
    assert_eq!(result["ips"][0]["interface"], 0);
    lab.del(&one, &of_one);
    lab.del(&two, &of_two);
    drop((one, two));
    lab.assert_same(&before, &[]);
}

#[test]
fn an_end_sends_as_fast_as_it_is_told() {
    let Some(lab) = lab() else { return };
    let (one, two) = (lab.host.pod("primary"), lab.host.pod("pair"));
    let mut of_one = link("default/pair", "in1", "in2", "192.168.2.100/24");
    of_one["impair"] = json!({"rate": "10mbit"});
    lab.add(&two, &pair());
    lab.add(&one, &conf(json!([of_one])));
    assert!(one.sh("tc qdisc show dev in1").contains("rate 10Mbit"));
    assert!(!two.sh("tc qdisc show dev in2").contains("rate"));
    assert!(one.pings([192, 168, 2, 101]));
    lab.check(&one, &conf(json!([of_one]))).succeeds_silently();
}

#[test]
fn a_pod_is_not_linked_to_one_that_does_not_ask_for_it_unless_the_network_allows_that() {
    for mutual in [true, false] {
        for [first, second] in [[0, 1], [1, 0]] {
            let Some(lab) = lab() else { return };
            let pods = [lab.host.pod("primary"), lab.host.pod("pair")];
            // The pair takes part, by a link to somebody else.
            let to_other = link("default/other", "up0", "up1", "10.0.0.1/24");
            let mut confs = [primary(), conf(json!([to_other]))];
            for conf in &mut confs {
                conf["mutual"] = json!(mutual);
            }
            confs[0]["runtimeConfig"]["links"][0]["peerAddresses"] = json!(["192.168.2.101/24"]);
            lab.add(&pods[first], &confs[first]);
            lab.add(&pods[second], &confs[second]);
            assert_eq!(has(&pods[0], "in1"), !mutual);
            assert_eq!(has(&pods[1], "in2"), !mutual);
            assert!(mutual || pods[0].pings([192, 168, 2, 101]));
            for (pod, conf) in pods.iter().zip(&confs) {
                lab.check(pod, conf).succeeds_silently();
                lab.del(pod, conf);
            }
            assert!(!has(&pods[0], "in1") && !has(&pods[1], "in2"));
            assert_eq!(files(), [""; 0]);
        }
    }
}

#[test]
fn a_new_container_of_a_pod_takes_its_links_and_the_late_del_of_the_old_one_leaves_them() {
    for old_lives in [true, false] {
        let Some(lab) = lab() else { return };
        let before = lab.snapshot(&[]);
        let (old, two) = (lab.host.pod("old"), lab.host.pod("pair"));
        lab.call_as("ADD", &old, "primary", &primary())
            .run()
            .succeeds();
        lab.add(&two, &pair());
        assert!(has(&old, "in1"));
        if !old_lives {
            old.remove();
        }
        let new = lab.host.pod("new");
        lab.call_as("ADD", &new, "primary", &primary())
            .run()
            .succeeds();
        assert!(new.pings([192, 168, 2, 101]));
        for _ in 0..2 {
            let del = lab.call_as("DEL", &old, "primary", &primary());
            del.run().succeeds_silently();
            assert!(new.pings([192, 168, 2, 101]));
            lab.call_as("CHECK", &new, "primary", &primary())
                .run()
                .succeeds_silently();
        }
        lab.call_as("DEL", &new, "primary", &primary())
            .run()
            .succeeds_silently();
        lab.del(&two, &pair());
        assert_eq!(files(), [""; 0]);
        drop((old, new, two));
        lab.assert_same(&before, &[]);
    }
}

#[test]
fn an_interface_that_is_not_ours_is_refused_and_stays() {
    let Some(lab) = lab() else { return };
    let (one, two) = (lab.host.pod("primary"), lab.host.pod("pair"));
    lab.add(&two, &pair());
    one.sh("ip link add in1 type veth peer name x");
    let before = lab.snapshot(&[&one, &two]);
    let error = lab.call("ADD", &one, &primary()).run().fails();
    error.names(&["in1", "default/primary"]);
    lab.assert_same(&before, &[&one, &two]);
    // What stands in the way in another pod is that pod's affair.
    one.ip("link del in1");
    two.sh("ip link add in2 type veth peer name x");
    let outcome = lab.call("ADD", &one, &primary()).run();
    assert_eq!(interfaces(&outcome.succeeds()), [""; 0]);
    assert!(outcome.stderr.contains("in2"), "{outcome}");
    lab.del(&one, &primary());
    lab.del(&two, &pair());
    assert!(has(&two, "in2"));
}

#[test]
fn an_add_for_the_second_time_changes_nothing_and_one_with_other_links_replaces_them() {
    let Some(lab) = lab() else { return };
    let (one, two) = (lab.host.pod("primary"), lab.host.pod("pair"));
    lab.add(&two, &pair());
    lab.add(&one, &primary());
    let index = one.ip("-o link show in1");
    lab.add(&one, &primary());
    assert_eq!(one.ip("-o link show in1"), index);
    let other = conf(json!([link("default/other", "up0", "up0", "10.0.0.1/24")]));
    lab.add(&one, &other);
    assert!(!has(&one, "in1") && !has(&two, "in2"));
}

#[test]
fn a_pod_has_its_links_of_a_network_by_one_interface() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("primary");
    lab.add(&pod, &primary());
    let second = lab.call("ADD", &pod, &primary()).env("CNI_IFNAME", "net1");
    second.run().fails().names(&["default/primary", "eth0"]);
    assert_eq!(files().iter().filter(|name| name.contains(':')).count(), 1);
}

/// The other half of both comes while one of them is being added.
#[test]
fn two_pods_that_come_at_once_are_linked() {
    for _ in 0..20 {
        let Some(lab) = lab() else { return };
        let (one, two) = (lab.host.pod("primary"), lab.host.pod("pair"));
        let calls = [
            lab.call("ADD", &one, &primary()),
            lab.call("ADD", &two, &pair()),
        ];
        for outcome in parallel(2, 2, |at| calls[at].run()) {
            outcome.succeeds();
        }
        assert!(one.pings([192, 168, 2, 101]));
    }
}

#[test]
fn many_links_of_one_pod_come_in_one_add_within_a_second() {
    const MANY: usize = 250;
    let Some(lab) = lab() else { return };
    let hub = lab.host.pod("hub");
    let name = |at: usize| format!("s{at}");
    let spokes: Vec<_> = (0..MANY)
        .map(|at| lab.host.pod(&format!("spoke{at}")))
        .collect();
    let address = |at: usize, end: usize| format!("10.{}.{}.{end}/24", at / 250, at % 250);
    for (at, spoke) in spokes.iter().enumerate() {
        let link = link("default/hub", &name(at), &name(at), &address(at, 2));
        lab.add(spoke, &conf(json!([link])));
    }
    let links = (0..MANY).map(|at| {
        let peer = format!("default/spoke{at}");
        link(&peer, &name(at), &name(at), &address(at, 1))
    });
    let conf = conf(links.collect());
    let begun = Instant::now();
    let result = lab.add(&hub, &conf);
    let took = begun.elapsed();
    assert_eq!(interfaces(&result).len(), MANY);
    println!("{MANY} links in {took:?}");
    assert!(hub.pings([10, 0, 249, 2]));
    let Some(trace) = Trace::of(&lab.call("DEL", &hub, &conf)) else {
        return;
    };
    trace.outcome.succeeds_silently();
    assert!(trace.sleeps().is_empty(), "{:?}", trace.sleeps());
    assert!(!hub.ip("link").contains("s249@"));
    let Some(trace) = Trace::of(&lab.call("ADD", &hub, &conf)) else {
        return;
    };
    trace.outcome.succeeds();
    assert!(trace.sleeps().is_empty(), "{:?}", trace.sleeps());
    // Programs for tests have no optimisations; and other tests run beside.
    assert!(took < Duration::from_secs(4), "{took:?}");
}
