//! CHECK names what is gone, and makes nothing.

use crate::support::{BOTH, Lab, conf, result};
use netloom_testkit::assert_grows_with_the_count;
use serde_json::json;
use std::time::Instant;

#[test]
fn each_thing_that_is_gone_is_named_and_stays_gone() {
    let nft = "inet cni_plugins_firewall";
    let drifts: [(&str, String, &[&str]); 15] = [
        ("nftables", "nft delete table inet cni_plugins_firewall".into(), &["chain forward"]),
        ("nftables", format!("nft flush chain {nft} forward"), &["chain forward", "lacks"]),
        ("nftables", format!("nft flush chain {nft} unmark"), &["chain unmark", "lacks"]),
        ("nftables", format!("nft flush chain {nft} overrides"), &["CNI-ADMIN"]),
        ("nftables", format!("nft flush chain {nft} pods"), &["chain pods", "pods4-"]),
        ("nftables", format!("nft flush set {nft} $(nft list ruleset | grep -o 'pods6-[0-9a-f]*' | head -1)"), &["fd00:1::5", "pods6-"]),
        ("nftables", format!("nft flush set {nft} bridges"), &["br0", "bridges"]),
        ("nftables", format!("nft flush set {nft} isolated"), &["br0", "isolated"]),
        ("nftables", "nft add table inet filter; nft 'add chain inet filter forward { type filter hook forward priority 0; policy drop; }'".into(), &["chain forward of table inet filter"]),
        ("iptables", "iptables -F FORWARD".into(), &["FORWARD", "CNI-FORWARD", "IPv4"]),
        ("iptables", "ip6tables -F CNI-FORWARD".into(), &["CNI-ADMIN", "IPv6"]),
        ("iptables", "ip6tables -D CNI-FORWARD -s fd00:1::5 -j ACCEPT".into(), &["fd00:1::5/128"]),
        ("iptables", "iptables -F CNI-ISOLATION-STAGE-1".into(), &["CNI-ISOLATION-STAGE-1", "br0"]),
        ("iptables", "iptables -F CNI-ISOLATION-STAGE-2".into(), &["CNI-ISOLATION-STAGE-2", "br0"]),
        ("iptables", "iptables -F; iptables -X".into(), &["chain CNI-FORWARD"]),
    ];
    for (backend, drift, words) in drifts {
        let Some(lab) = Lab::with(backend) else {
            continue;
        };
        let pod = lab.host.pod("one");
        let conf = conf(backend, &result(5), json!({"ingressPolicy": "isolated"}));
        lab.firewall.add(&conf, &pod).succeeds();
        lab.firewall
            .check(&conf, &result(5), &pod)
            .succeeds_silently();
        lab.host.sh(&drift);
        let before = lab.rules();
        lab.firewall
            .check(&conf, &result(5), &pod)
            .fails()
            .names(words);
        let uncounted = |rules: &str| {
            let kept = |line: &&str| !line.starts_with('#');
            rules
                .lines()
                .filter(kept)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            uncounted(&lab.rules()),
            uncounted(&before),
            "{drift}: CHECK changed something"
        );
        // The next ADD repairs it.
        lab.firewall.add(&conf, &pod).succeeds();
        if !drift.contains("set") {
            lab.firewall
                .check(&conf, &result(5), &pod)
                .succeeds_silently();
        }
        lab.firewall.del(&conf, &pod).succeeds_silently();
        assert_eq!(lab.traces(), "", "{drift}");
    }
}

#[test]
fn check_needs_the_result_and_asks_for_the_owner() {
    for backend in BOTH {
        let Some(lab) = Lab::with(backend) else {
            continue;
        };
        let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
        let conf = conf(backend, &result(5), json!({}));
        lab.firewall.add(&conf, &one).succeeds();
        lab.firewall
            .check(&conf, &result(6), &one)
            .fails()
            .names(&["10.1.0.6"]);
        if backend == "nftables" {
            lab.firewall
                .check(&conf, &result(5), &two)
                .fails()
                .names(&["10.1.0.5"]);
        }
        let mut without = conf.clone();
        without.as_object_mut().unwrap().remove("prevResult");
        let call = lab.firewall.call("CHECK", &without).pod(&one);
        call.run().fails_with(7).names(&["prevResult"]);
    }
}

/// iptables has some rules for each address: CHECK must not look for each among all.
#[test]
fn check_by_iptables_takes_as_long_as_there_are_addresses() {
    let Some(lab) = Lab::with("iptables") else {
        return;
    };
    let pod = lab.host.pod("one");
    assert_grows_with_the_count(|count| {
        let mut many = result(5);
        many["ips"] = (0..count)
            .map(|at| json!({"address": format!("10.1.{}.{}/16", at / 250, at % 250), "interface": 1}))
            .collect();
        let conf = conf("iptables", &many, json!({}));
        lab.firewall.add(&conf, &pod).succeeds();
        let start = Instant::now();
        lab.firewall.check(&conf, &many, &pod).succeeds_silently();
        let took = start.elapsed();
        lab.firewall.del(&conf, &pod).succeeds_silently();
        took
    });
}
