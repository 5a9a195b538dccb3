//! ADD: what it makes, and whose that is.

use crate::support::{BOTH, Lab, conf, result};
use netloom_testkit::ORDERS_OF_THREE;
use serde_json::{Value, json};

#[test]
fn the_iptables_rules_are_those_of_the_reference_and_one_for_published_ports() {
    let Some(lab) = Lab::with("iptables") else {
        return;
    };
    let pod = lab.host.pod("one");
    lab.firewall
        .add(&conf("iptables", &result(5), json!({})), &pod)
        .succeeds();
    for (program, net) in [("iptables", "10.1.0.5/32"), ("ip6tables", "fd00:1::5/128")] {
        let rules = lab.host.sh(&format!("{program} -S"));
        let note = |what: &str| format!("-m comment --comment \"CNI firewall plugin {what}\"");
        let found: Vec<_> = rules
            .lines()
            .filter(|line| line.starts_with("-A"))
            .collect();
        let marker = rules
            .lines()
            .find_map(|line| line.strip_prefix("-N CNI-FW-"))
            .unwrap();
        let name = r#""name: \"net\" id: \"id-of-one\" if: \"eth0\"""#;
        let mut expected = vec![
            format!("-A FORWARD {} -j CNI-FORWARD", note("rules")),
            format!("-A CNI-FORWARD {} -j CNI-ADMIN", note("admin overrides")),
            format!("-A CNI-FORWARD -d {net} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
            format!("-A CNI-FORWARD -s {net} -j ACCEPT"),
            format!("-A CNI-FORWARD -d {net} -m conntrack --ctstate DNAT -j ACCEPT"),
            format!("-A CNI-FW-{marker} -s {net} -m comment --comment {name}"),
            format!("-A CNI-FW-{marker} -d {net} -m comment --comment {name}"),
        ];
        expected.sort();
        let mut found = found;
        found.sort_unstable();
        assert_eq!(found, expected);
    }
}

#[test]
fn the_nftables_rules_do_not_grow_with_the_pods() {
    let Some(lab) = Lab::with("nftables") else {
        return;
    };
    for (index, name) in ["one", "two", "three"].iter().enumerate() {
        let pod = lab.host.pod(name);
        let last = 5 + u8::try_from(index).unwrap();
        lab.firewall
            .add(&conf("nftables", &result(last), json!({})), &pod)
            .succeeds();
    }
    let table = lab.host.sh("nft list table inet cni_plugins_firewall");
    for (rule, times) in [
        ("ip saddr @pods4-", 1),
        ("ip6 saddr @pods6-", 1),
        ("ct state established,related goto pass", 2),
        (", net: net, if: eth0, id: id-of-", 6),
        ("jump CNI-ADMIN", 1),
        (
            "type filter hook forward priority filter - 10; policy accept;",
            1,
        ),
    ] {
        assert_eq!(table.matches(rule).count(), times, "{rule}\n{table}");
    }
}

#[test]
fn an_add_repeated_after_a_lost_del_changes_nothing_and_new_addresses_replace_the_old() {
    for backend in BOTH {
        let Some(lab) = Lab::with(backend) else {
            continue;
        };
        let pod = lab.host.pod("one");
        let conf_of = |last| conf(backend, &result(last), json!({}));
        lab.firewall.add(&conf_of(5), &pod).succeeds();
        let before = lab.traces();
        lab.firewall.add(&conf_of(5), &pod).succeeds();
        assert_eq!(lab.traces(), before, "{backend}");
        lab.firewall.add(&conf_of(6), &pod).succeeds();
        assert!(lab.traces().contains("10.1.0.6"), "{backend}");
        lab.firewall.del(&conf_of(6), &pod).succeeds_silently();
        if backend == "iptables" {
            assert_eq!(
                lab.traces(),
                "",
                "what the first ADD made went with the second"
            );
        }
    }
}

#[test]
fn of_two_that_have_one_address_the_first_to_leave_takes_nothing_from_the_other() {
    for backend in BOTH {
        let Some(lab) = Lab::with(backend) else {
            continue;
        };
        let (old, new) = (lab.host.pod("old"), lab.host.pod("new"));
        let conf = conf(backend, &result(5), json!({}));
        lab.firewall.add(&conf, &new).succeeds();
        let alone = lab.traces();
        lab.firewall.del(&conf, &new).succeeds_silently();
        lab.firewall.add(&conf, &old).succeeds();
        lab.firewall.add(&conf, &new).succeeds();
        // And once more, as runtimes do.
        for _ in 0..2 {
            lab.firewall.del(&conf, &old).succeeds_silently();
            assert_eq!(lab.traces(), alone, "{backend}");
            lab.firewall
                .check(&conf, &result(5), &new)
                .succeeds_silently();
        }
        lab.firewall.del(&conf, &new).succeeds_silently();
        assert_eq!(lab.traces(), "", "{backend}");
    }
}

#[test]
fn the_result_is_handed_on_in_the_version_of_the_configuration() {
    let Some(lab) = Lab::with("nftables") else {
        return;
    };
    let pod = lab.host.pod("one");
    for version in ["0.4.0", "1.0.0", "1.1.0"] {
        let mut given = result(5);
        given["cniVersion"] = json!(version);
        given["dns"] = json!({"nameservers": ["10.1.0.1"]});
        if version == "0.4.0" {
            for (index, kind) in ["4", "6"].iter().enumerate() {
                given["ips"][index]["version"] = json!(kind);
            }
        }
        let conf = conf("nftables", &given, json!({"cniVersion": version}));
        assert_eq!(lab.firewall.add(&conf, &pod).succeeds(), given);
        lab.firewall.check(&conf, &given, &pod).succeeds_silently();
        lab.firewall.del(&conf, &pod).succeeds_silently();
    }
    let old = conf("nftables", &result(5), json!({"cniVersion": "0.3.1"}));
    lab.firewall.add(&old, &pod).fails_with(1);
}

#[test]
fn addresses_of_one_family_make_nothing_in_the_other() {
    for backend in BOTH {
        let Some(lab) = Lab::with(backend) else {
            continue;
        };
        let pod = lab.host.pod("one");
        let mut only4 = result(5);
        only4["ips"].as_array_mut().unwrap().pop();
        lab.firewall
            .add(&conf(backend, &only4, json!({})), &pod)
            .succeeds();
        let rules = lab.host.sh("nft list ruleset");
        assert!(
            !rules.contains("pods6-") && !rules.contains("table ip6"),
            "{backend}: {rules}"
        );
        let none = json!({"cniVersion": "1.0.0"});
        let other = lab.host.pod("two");
        let before = lab.rules();
        lab.firewall
            .add(&conf(backend, &none, json!({})), &other)
            .succeeds();
        assert_eq!(lab.rules().len(), before.len(), "{backend}: nothing to do");
    }
}

/// Three with one address: each way of leaving it, the newest of the others passes by it.
#[test]
fn the_newest_claim_on_an_address_is_in_force_whoever_leaves_first() {
    let names = ["one", "two", "three"];
    for order in ORDERS_OF_THREE {
        let Some(lab) = Lab::with("nftables") else {
            return;
        };
        let pods = names.map(|name| lab.host.pod(name));
        let given = result(5);
        let conf = conf("nftables", &given, json!({}));
        for pod in &pods {
            lab.firewall.add(&conf, pod).succeeds();
        }
        let mut left = vec![0, 1, 2];
        for gone in order {
            for claimant in &left {
                let newest = left[left.len() - 1];
                let check = lab.firewall.check(&conf, &given, &pods[*claimant]);
                if *claimant == newest {
                    check.succeeds_silently();
                } else {
                    let id = format!("id-of-{}", names[newest]);
                    check.fails().names(&["10.1.0.5", "shadowed", &id]);
                }
            }
            // Under another name of the network as well.
            let mut del = conf.clone();
            if gone == 1 {
                del["name"] = json!("another-name");
            }
            lab.firewall.del(&del, &pods[gone]).succeeds_silently();
            left.retain(|claimant| *claimant != gone);
            let traces = lab.traces();
            for (at, name) in names.iter().enumerate() {
                let has = traces.contains(&format!("id-of-{name}"));
                assert_eq!(has, left.contains(&at), "{order:?}: {traces}");
            }
        }
    }
}

#[test]
fn without_a_backend_it_is_iptables_where_that_is_installed() {
    let Some(lab) = Lab::with("iptables") else {
        return;
    };
    let pod = lab.host.pod("one");
    let conf = conf("", &result(5), json!({}));
    lab.firewall.add(&conf, &pod).succeeds();
    assert!(lab.traces().contains("-A CNI-FORWARD -s 10.1.0.5/32"));
    lab.firewall
        .check(&conf, &result(5), &pod)
        .succeeds_silently();
    lab.firewall.del(&conf, &pod).succeeds_silently();
    assert_eq!(lab.traces(), "");
    // And else nf_tables.
    let bare = |command: &str| {
        lab.firewall
            .call(command, &conf)
            .pod(&pod)
            .env("PATH", "/nowhere")
            .run()
    };
    bare("ADD").succeeds();
    assert!(lab.traces().contains("10.1.0.5 comment"), "{}", lab.rules());
    bare("CHECK").succeeds_silently();
    bare("DEL").succeeds_silently();
    assert_eq!(lab.traces(), "");
}

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let Some(lab) = Lab::with("nftables") else {
        return;
    };
    let pod = lab.host.pod("one");
    let given = result(5);
    let cases: [(Value, u64, &[&str]); 6] = [
        (
            json!({"backend": "ipfw"}),
            7,
            &["backend", "ipfw", "nftables"],
        ),
        (json!({"backend": 5}), 6, &["backend"]),
        (
            json!({"ingressPolicy": "closed"}),
            7,
            &["ingressPolicy", "closed", "same-bridge"],
        ),
        (
            json!({"iptablesAdminChainName": "a b"}),
            7,
            &["iptablesAdminChainName", "a b"],
        ),
        (
            json!({"iptablesAdminChainName": "CNI-FORWARD"}),
            7,
            &["CNI-FORWARD", "CNI-ADMIN"],
        ),
        (
            json!({"prevResult": {"cniVersion": "1.0.0", "ips": 5}}),
            6,
            &["ips"],
        ),
    ];
    for (keys, code, words) in cases {
        let conf = conf("nftables", &given, keys.clone());
        lab.firewall.add(&conf, &pod).fails_with(code).names(words);
        assert_eq!(lab.rules().trim(), "", "{keys}");
    }
    let mut first = conf("nftables", &given, json!({}));
    first.as_object_mut().unwrap().remove("prevResult");
    lab.firewall
        .add(&first, &pod)
        .fails_with(7)
        .names(&["prevResult"]);
}
