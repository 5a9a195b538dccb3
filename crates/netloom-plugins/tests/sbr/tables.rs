//! What ADD makes.

use crate::lab::{KERNEL_RULES, chained, conf, lab, made};
use netloom_testkit::{Trace, parallel};
use serde_json::json;

#[test]
fn each_address_has_a_rule_and_a_table_with_the_routes_that_leave_the_main_one() {
    let Some(lab) = lab() else { return };
    let main = lab.routes("main");
    let result = lab.add("net1", json!({}));
    assert_eq!(
        result,
        made("net1", "1.1.0"),
        "the result is passed through"
    );
    let [v4, v6] = lab.rules();
    assert!(v4.contains("32765: from 10.2.0.2 lookup 100"), "{v4}");
    assert!(v6.contains("32765: from fd00:2::2 lookup 101"), "{v6}");

    let [in_100, none] = lab.routes("100");
    assert_eq!(none, "");
    for route in [
        "default via 10.2.0.1 dev net1 proto 78",
        "10.2.0.0/24 dev net1 proto kernel scope link src 10.2.0.2",
        "172.30.0.0/16 via 10.2.0.1 dev net1 metric 7 mtu 1300",
    ] {
        assert!(in_100.contains(route), "{route}: {in_100}");
    }
    let [none, in_101] = lab.routes("101");
    assert_eq!(none, "");
    for route in [
        "default via fd00:2::1 dev net1 proto 78 metric 1024",
        "fd00:2::/64 dev net1 proto kernel metric 256",
        "2001:db8:30::/48 via fd00:2::1 dev net1 metric 1024",
        "fe80::/64 dev net1 proto kernel metric 256",
    ] {
        assert!(in_101.contains(route), "{route}: {in_101}");
    }

    let [v4, v6] = lab.routes("main");
    assert!(!v4.contains("net1") && v4.contains("eth0"), "{v4}");
    let left: Vec<&str> = v6.lines().filter(|line| line.contains("net1")).collect();
    assert_eq!(
        left,
        ["fe80::/64 dev net1 proto kernel metric 256 pref medium"]
    );
    let of_eth0 = |text: &str| text.lines().filter(|l| l.contains("eth0")).count();
    assert_eq!(
        (of_eth0(&v4), of_eth0(&v6)),
        (of_eth0(&main[0]), of_eth0(&main[1]))
    );
}

#[test]
fn it_works_in_every_version_and_leaves_nothing() {
    for version in [
        "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0",
    ] {
        let Some(lab) = lab() else { return };
        let before = lab.snapshot();
        let keys = json!({"cniVersion": version});
        let result = lab.add("net1", keys.clone());
        assert_eq!(result["cniVersion"], version);
        assert!(lab.rules()[0].contains("from 10.2.0.2 lookup 100"));
        assert!(lab.rules()[1].contains("from fd00:2::2 lookup 101"));
        if version >= "0.4.0" {
            let request = chained("net1", keys.clone());
            lab.run("CHECK", "net1", &request).succeeds_silently();
        }
        // Before 0.4.0 a runtime has no result to give.
        lab.run("DEL", "net1", &conf(keys)).succeeds_silently();
        lab.snapshot().assert_same_as(&before);
    }
}

#[test]
fn a_second_interface_gets_tables_of_its_own_and_either_goes_alone() {
    let Some(lab) = lab() else { return };
    let before = lab.snapshot();
    lab.add("net1", json!({}));
    let with_one = lab.snapshot();
    lab.add("eth0", json!({}));
    let [v4, v6] = lab.rules();
    assert!(v4.contains("from 10.2.0.2 lookup 100") && v4.contains("from 10.1.0.2 lookup 102"));
    assert!(v6.contains("from fd00:2::2 lookup 101") && v6.contains("from fd00:1::2 lookup 103"));
    for if_name in ["eth0", "net1"] {
        lab.run("CHECK", if_name, &chained(if_name, json!({})))
            .succeeds_silently();
    }
    lab.del("eth0", json!({}));
    lab.snapshot().assert_same_as(&with_one);
    lab.del("net1", json!({}));
    lab.snapshot().assert_same_as(&before);
}

#[test]
fn tables_that_a_rule_leads_to_or_a_route_is_in_are_left_alone() {
    let Some(lab) = lab() else { return };
    lab.pod.sh("ip rule add from 198.51.100.9 lookup 100
         ip route add 198.51.100.0/24 via 10.1.0.1 table 101
         ip -6 route add 2001:db8:51::/48 via fd00:1::1 table 103");
    let before = lab.snapshot();
    lab.add("net1", json!({}));
    assert!(lab.rules()[0].contains("from 10.2.0.2 lookup 102"));
    assert!(lab.rules()[1].contains("from fd00:2::2 lookup 104"));
    lab.del("net1", json!({}));
    lab.snapshot().assert_same_as(&before);
}

#[test]
fn two_calls_at_the_same_time_never_take_the_same_table() {
    for _ in 0..10 {
        let Some(lab) = lab() else { return };
        let names = ["eth0", "net1"];
        let calls = names.map(|name| lab.call(&lab.sbr, "ADD", name, &chained(name, json!({}))));
        for outcome in parallel(2, 2, |index| calls[index].run()) {
            outcome.succeeds();
        }
        let rules = lab.rules().concat();
        for number in 100..104 {
            let lookup = format!("lookup {number}");
            assert_eq!(rules.matches(&lookup).count(), 1, "{number}: {rules}");
        }
    }
}

#[test]
fn with_a_table_given_only_rules_are_made() {
    let Some(lab) = lab() else { return };
    let before = lab.snapshot();
    let main = lab.routes("main");
    let keys = json!({"table": 51});
    lab.add("net1", keys.clone());
    let [v4, v6] = lab.rules();
    assert!(v4.contains("from 10.2.0.2 lookup 51") && v6.contains("from fd00:2::2 lookup 51"));
    assert_eq!(lab.routes("main"), main);
    assert_eq!(lab.routes("51"), ["", ""]);
    lab.run("CHECK", "net1", &chained("net1", keys.clone()))
        .succeeds_silently();
    lab.pod.ip("rule add from 10.2.0.2 lookup 52 priority 900");
    lab.del("net1", keys);
    assert!(
        lab.rules()[0].contains("900: from 10.2.0.2 lookup 52"),
        "another table's stays"
    );
    lab.pod.ip("rule del priority 900");
    lab.snapshot().assert_same_as(&before);
}

#[test]
fn static_gateways_count_more_than_those_of_the_result_and_than_default_routes() {
    let Some(lab) = lab() else { return };
    lab.pod.sh("ip route append default via 10.2.0.1 dev net1");
    let before = lab.snapshot();
    let keys = json!({"gateways": ["fd00:2::9", "10.2.0.9"]});
    lab.add("net1", keys.clone());
    let ([v4, _], [_, v6]) = (lab.routes("100"), lab.routes("101"));
    let defaults = |text: &str| text.matches("default via").count();
    assert!(
        v4.contains("default via 10.2.0.9 dev net1") && defaults(&v4) == 1,
        "{v4}"
    );
    assert!(
        v6.contains("default via fd00:2::9 dev net1") && defaults(&v6) == 1,
        "{v6}"
    );
    lab.run("CHECK", "net1", &chained("net1", keys.clone()))
        .succeeds_silently();
    lab.del("net1", keys);
    // The default route that the configuration ruled out is the one thing that is not given back.
    let difference = lab.snapshot().difference_from(&before).to_string();
    assert!(
        difference.contains("default") && difference.lines().count() < 4,
        "{difference}"
    );
}

#[test]
fn source_hints_keep_the_subnets_in_the_main_table() {
    let Some(lab) = lab() else { return };
    let before = lab.snapshot();
    let keys = json!({"addSourceHints": true});
    lab.add("net1", keys.clone());
    let [v4, v6] = lab.routes("main");
    let of_net1 = |text: &str| {
        let lines = text.lines().filter(|line| line.contains("net1"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let v4 = of_net1(&v4);
    assert_eq!(
        v4,
        ["10.2.0.0/24 dev net1 proto kernel scope link src 10.2.0.2"]
    );
    let v6 = of_net1(&v6).join(" ");
    assert!(
        v6.contains("fd00:2::/64 dev net1 src fd00:2::2 metric 256"),
        "{v6}"
    );
    assert!(!v6.contains("2001:db8:30::"), "{v6}");
    assert!(lab.routes("100")[0].contains("default via 10.2.0.1"));
    lab.run("CHECK", "net1", &chained("net1", keys.clone()))
        .succeeds_silently();
    lab.del("net1", keys);
    lab.snapshot().assert_same_as(&before);
}

#[test]
fn a_second_add_is_refused_and_changes_nothing() {
    let Some(lab) = lab() else { return };
    lab.add("net1", json!({}));
    let before = lab.snapshot();
    let request = chained("net1", json!({}));
    let error = lab.run("ADD", "net1", &request).fails();
    error.names(&["10.2.0.2", "table 100", "exists already"]);
    lab.snapshot().assert_same_as(&before);
}

#[test]
fn nothing_is_executed_and_nobody_sleeps_and_the_namespace_is_locked() {
    let Some(lab) = lab() else { return };
    let request = chained("net1", json!({}));
    for command in ["ADD", "CHECK", "DEL"] {
        let call = lab.call(&lab.sbr, command, "net1", &request);
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
        let changes = command != "CHECK";
        assert_eq!(trace.count("flock"), usize::from(changes), "{command}");
        let messages = trace.count("sendto") + trace.count("sendmsg");
        println!(
            "{command}: {messages} messages, {} system calls",
            trace.calls.len()
        );
    }
    assert_eq!(lab.rules(), KERNEL_RULES);
}

/// A pod can have any number of routes by the interface, which must not cost the host its memory.
#[test]
fn of_more_routes_than_are_moved_none_is_lost() {
    const ALL: usize = 5_000;
    let Some(lab) = lab() else { return };
    lab.pod
        .sh("for a in $(seq 0 19); do for b in $(seq 0 249); do
            echo route add 11.$a.$b.0/24 dev net1
         done; done | ip -batch -");
    let before = lab.routes("main");
    lab.add("net1", json!({}));
    let count = |table: &str| {
        let [v4, _] = lab.routes(table);
        v4.lines().filter(|line| line.starts_with("11.")).count()
    };
    let (moved, stayed) = (count("100"), count("main"));
    assert_eq!(moved + stayed, ALL);
    assert!((4_000..=4_096).contains(&moved), "{moved}");
    let [v4, _] = lab.routes("100");
    assert!(v4.contains("10.2.0.0/24 dev net1"), "its own is among them");
    lab.run("CHECK", "net1", &chained("net1", json!({})))
        .succeeds_silently();
    lab.del("net1", json!({}));
    let [after, _] = lab.routes("main");
    let lost: Vec<&str> = before[0]
        .lines()
        .filter(|line| !after.contains(line))
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!(count("100"), 0);
}
