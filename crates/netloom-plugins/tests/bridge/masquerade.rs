use crate::support::Lab;
use netloom_testkit::{ORDERS_OF_THREE, Pod, Uplink, probe, skip};
use serde_json::{Value, json};

const BOTH: [&str; 2] = ["nftables", "iptables"];

fn lab(backend: &str) -> Option<Lab> {
    let lab = Lab::new()?;
    let missing = match backend {
        "iptables" => !probe::has_iptables(),
        _ => !probe::has_nft_family("inet"),
    };
    if missing {
        skip(&format!("no {backend} on this machine"));
        return None;
    }
    Some(lab)
}

fn conf(lab: &Lab, backend: &str) -> Value {
    lab.routed(json!({"isDefaultGateway": true, "ipMasq": true, "ipMasqBackend": backend}))
}

fn dual(lab: &Lab, last: u8) {
    let (v4, v6) = (format!("10.1.0.{last}/24"), format!("fd00:1::{last}/64"));
    lab.ipam
        .answers(json!({"ips": [{"address": v4}, {"address": v6}]}));
}

fn seen_outside(pod: &Pod, uplink: &Uplink) -> Vec<Result<std::net::IpAddr, String>> {
    Uplink::SERVER
        .iter()
        .map(|at| pod.source_seen_by(&uplink.outside, *at))
        .collect()
}

/// What the attachments own: elements, rules for an address, iptables' chains and jumps.
fn traces(lab: &Lab) -> String {
    let all = lab.ruleset() + &lab.host.sh("iptables-save -t nat; ip6tables-save -t nat");
    let own = |line: &&str| {
        line.contains(", if: ") || line.contains("name: ") || line.starts_with(":CNI-")
    };
    let lines: Vec<_> = all.lines().filter(own).collect();
    lines.join("\n").replace(" [0:0]", "")
}

/// The name of the set of a subnet's addresses.
fn set(lab: &Lab, subnet: &str) -> String {
    let table = lab.host.sh("nft list table inet cni_plugins_masquerade");
    let leaves = format!("daddr != {subnet} masquerade");
    let rule = table.lines().find(|line| line.contains(&leaves)).unwrap();
    let name = rule.split('@').nth(1).unwrap().split(' ').next();
    name.unwrap().to_owned()
}

#[test]
fn traffic_to_the_outside_carries_the_hosts_address_and_inside_the_pods() {
    for backend in BOTH {
        let Some(lab) = lab(backend) else { continue };
        let uplink = lab.host.uplink();
        let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
        dual(&lab, 6);
        lab.bridge.add(&conf(&lab, backend), &two).succeeds();
        dual(&lab, 5);
        let result = lab.bridge.add(&conf(&lab, backend), &one).succeeds();
        assert_eq!(
            seen_outside(&one, &uplink),
            Uplink::HOST.map(Ok),
            "{backend}"
        );
        let inside = std::net::Ipv4Addr::new(10, 1, 0, 6);
        assert_eq!(
            one.source_seen_by(&two, inside).unwrap().to_string(),
            "10.1.0.5"
        );
        lab.bridge
            .check(&conf(&lab, backend), &result, &one)
            .succeeds_silently();
        lab.bridge
            .del_with(&conf(&lab, backend), &result, &one)
            .succeeds_silently();
        let left = traces(&lab);
        assert!(
            !left.contains("id-of-one") && left.contains("id-of-two"),
            "{backend}: {left}"
        );
        assert_eq!(
            seen_outside(&two, &uplink),
            Uplink::HOST.map(Ok),
            "{backend}"
        );
    }
}

#[test]
fn without_masquerade_the_outside_does_not_answer() {
    let Some(lab) = lab("nftables") else { return };
    let uplink = lab.host.uplink();
    let pod = lab.host.pod("one");
    dual(&lab, 5);
    lab.bridge
        .add(&lab.routed(json!({"isDefaultGateway": true})), &pod)
        .succeeds();
    assert!(seen_outside(&pod, &uplink).iter().all(Result::is_err));
}

#[test]
fn the_nftables_objects_have_the_names_of_the_reference() {
    let Some(lab) = lab("nftables") else { return };
    let pod = lab.host.pod("one");
    dual(&lab, 5);
    lab.bridge.add(&conf(&lab, "nftables"), &pod).succeeds();
    let table = lab.host.sh("nft list table inet cni_plugins_masquerade");
    for line in [
        "chain masq_checks {",
        "chain postrouting {",
        "type nat hook postrouting priority srcnat; policy accept;",
        "ip daddr 224.0.0.0/4 return",
        "ip6 daddr ff00::/8 return",
        "goto masq_checks",
        ", net: net, if: eth0, id: id-of-one\"",
    ] {
        assert!(table.contains(line), "{line}\n{table}");
    }
    for [source, rest] in [
        ["ip saddr @sources-", " ip daddr != 10.1.0.0/24 masquerade"],
        [
            "ip6 saddr @sources-",
            " ip6 daddr != fd00:1::/64 masquerade",
        ],
    ] {
        let rule = |line: &&str| line.trim().starts_with(source) && line.contains(rest);
        assert_eq!(table.lines().filter(rule).count(), 1, "{source}\n{table}");
    }
    let again = lab.host.pod("two");
    dual(&lab, 6);
    lab.bridge.add(&conf(&lab, "nftables"), &again).succeeds();
    let later = lab.host.sh("nft list table inet cni_plugins_masquerade");
    assert_eq!(
        later.matches(" masquerade ").count(),
        2,
        "one rule per subnet: {later}"
    );
    assert_eq!(later.matches("\tset ").count(), 2, "{later}");
}

#[test]
fn the_iptables_rules_are_those_of_the_reference() {
    let Some(lab) = lab("iptables") else { return };
    let pod = lab.host.pod("one");
    dual(&lab, 5);
    lab.bridge.add(&conf(&lab, "iptables"), &pod).succeeds();
    for (program, address, net, multicast) in [
        ("iptables", "10.1.0.5/32", "10.1.0.0/24", "224.0.0.0/4"),
        ("ip6tables", "fd00:1::5/128", "fd00:1::/64", "ff00::/8"),
    ] {
        let rules = lab.host.sh(&format!("{program} -t nat -S"));
        let comment = r#"-m comment --comment "name: \"net\" id: \"id-of-one\"""#;
        let chain = rules
            .lines()
            .find_map(|line| line.strip_prefix("-N "))
            .unwrap();
        assert_eq!(chain.len(), 28);
        let expected = [
            format!("-A POSTROUTING -s {address} {comment} -j {chain}"),
            format!("-A {chain} -d {net} {comment} -j ACCEPT"),
            format!("-A {chain} ! -d {multicast} {comment} -j MASQUERADE"),
        ];
        let found: Vec<_> = rules
            .lines()
            .filter(|line| line.starts_with("-A"))
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn an_add_repeated_after_a_lost_del_changes_nothing() {
    for backend in BOTH {
        let Some(lab) = lab(backend) else { continue };
        let pod = lab.host.pod("one");
        dual(&lab, 5);
        lab.bridge.add(&conf(&lab, backend), &pod).succeeds();
        let before = traces(&lab);
        pod.ip("link del eth0");
        lab.bridge.add(&conf(&lab, backend), &pod).succeeds();
        assert_eq!(traces(&lab), before, "{backend}");
    }
}

#[test]
fn del_leaves_the_address_alone_when_another_attachment_owns_it_now() {
    for backend in BOTH {
        let Some(lab) = lab(backend) else { continue };
        let uplink = lab.host.uplink();
        let (old, new) = (lab.host.pod("old"), lab.host.pod("new"));
        dual(&lab, 5);
        let gone = lab.bridge.add(&conf(&lab, backend), &old).succeeds();
        old.ip("link del eth0");
        lab.bridge.add(&conf(&lab, backend), &new).succeeds();
        lab.bridge
            .del_with(&conf(&lab, backend), &gone, &old)
            .succeeds_silently();
        assert!(
            !traces(&lab).contains("id-of-old"),
            "{backend}: {}",
            traces(&lab)
        );
        assert_eq!(
            seen_outside(&new, &uplink),
            Uplink::HOST.map(Ok),
            "{backend}"
        );
    }
}

/// Three with one address, as after lost DELs: each way of leaving it, the newest of the others has it.
#[test]
fn the_newest_claim_on_an_address_is_in_force_whoever_leaves_first() {
    let names = ["one", "two", "three"];
    for backend in BOTH {
        for order in ORDERS_OF_THREE {
            let Some(lab) = lab(backend) else { continue };
            dual(&lab, 5);
            let pods = names.map(|name| lab.host.pod(name));
            let made: Vec<Value> = pods
                .iter()
                .map(|pod| lab.bridge.add(&conf(&lab, backend), pod).succeeds())
                .collect();
            let mut left = vec![0, 1, 2];
            for gone in order {
                for claimant in &left {
                    let (pod, newest) = (&pods[*claimant], left[left.len() - 1]);
                    let check = lab
                        .bridge
                        .check(&conf(&lab, backend), &made[*claimant], pod);
                    if *claimant == newest || backend == "iptables" {
                        check.succeeds_silently();
                    } else {
                        let id = format!("id-of-{}", names[newest]);
                        check.fails().names(&["masquerade", "shadowed", &id]);
                    }
                }
                lab.bridge
                    .del_with(&conf(&lab, backend), &made[gone], &pods[gone])
                    .succeeds_silently();
                left.retain(|claimant| *claimant != gone);
                let rules = traces(&lab);
                for (at, name) in names.iter().enumerate() {
                    let has = rules.contains(&format!("id-of-{name}"));
                    assert_eq!(has, left.contains(&at), "{backend} {order:?}: {rules}");
                }
            }
        }
    }
}

/// GC removes a crashed one that was the newest; the one that lives is masqueraded again.
#[test]
fn gc_gives_the_address_back() {
    for backend in BOTH {
        let Some(lab) = lab(backend) else { continue };
        let uplink = lab.host.uplink();
        dual(&lab, 5);
        let [one, two, three] = ["one", "two", "three"].map(|name| lab.host.pod(name));
        let conf = conf(&lab, backend);
        let made = lab.bridge.add(&conf, &one).succeeds();
        // One that waits, and the newest.
        for pod in [two, three] {
            lab.bridge.add(&conf, &pod).succeeds();
            pod.remove();
        }
        lab.bridge
            .gc(&conf, &[("id-of-one", "eth0")])
            .succeeds_silently();
        assert_eq!(seen_outside(&one, &uplink), Uplink::HOST.map(Ok));
        lab.bridge.check(&conf, &made, &one).succeeds_silently();
        let left = traces(&lab);
        assert!(
            !left.contains("id-of-two") && !left.contains("id-of-three"),
            "{backend}: {left}"
        );
    }
}

#[test]
fn del_finds_the_masquerade_whatever_the_network_is_called_now() {
    for backend in BOTH {
        for told in [true, false] {
            if backend == "iptables" && !told {
                // Its rules do not tell interfaces: without the addresses they are left to GC.
                continue;
            }
            let Some(lab) = lab(backend) else { continue };
            let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
            for (pod, last) in [(&one, 5), (&two, 6)] {
                dual(&lab, last);
                lab.bridge.add(&conf(&lab, backend), pod).succeeds();
            }
            let made = json!({"cniVersion": "1.1.0", "interfaces": [
                {"name": "eth0", "sandbox": two.path()}],
                "ips": [{"address": "10.1.0.6/24"}, {"address": "fd00:1::6/64"}]});
            let mut renamed = conf(&lab, backend);
            renamed["name"] = json!("another-name");
            if told {
                lab.bridge
                    .del_with(&renamed, &made, &two)
                    .succeeds_silently();
            } else {
                two.ip("link del eth0");
                lab.bridge.del(&renamed, &two).succeeds_silently();
            }
            let left = traces(&lab);
            assert!(
                !left.contains("id-of-two") && left.contains("id-of-one"),
                "{backend}: {left}"
            );
        }
    }
}

#[test]
fn masquerade_works_without_naming_a_backend() {
    let Some(lab) = lab("nftables") else { return };
    let uplink = lab.host.uplink();
    let pod = lab.host.pod("one");
    dual(&lab, 5);
    let conf = lab.routed(json!({"isDefaultGateway": true, "ipMasq": true}));
    let result = lab.bridge.add(&conf, &pod).succeeds();
    assert_eq!(seen_outside(&pod, &uplink), Uplink::HOST.map(Ok));
    lab.bridge.check(&conf, &result, &pod).succeeds_silently();
    lab.bridge.del(&conf, &pod).succeeds_silently();
    assert_eq!(traces(&lab), "");
}

#[test]
fn an_unknown_backend_changes_nothing() {
    let Some(lab) = lab("nftables") else { return };
    let pod = lab.host.pod("one");
    lab.bridge
        .add(&conf(&lab, "pf"), &pod)
        .fails_with(7)
        .names(&["unknown ipmasq backend \"pf\""]);
    assert!(!lab.has_link("br0"));
}

#[test]
fn a_lost_masquerade_is_found_by_check() {
    for backend in BOTH {
        let Some(lab) = lab(backend) else { continue };
        let pod = lab.host.pod("one");
        dual(&lab, 5);
        let conf = conf(&lab, backend);
        let result = lab.bridge.add(&conf, &pod).succeeds();
        match backend {
            "nftables" => lab.host.sh(&format!(
                "nft flush set inet cni_plugins_masquerade {}",
                set(&lab, "fd00:1::/64")
            )),
            _ => lab.host.sh("ip6tables -t nat -F POSTROUTING"),
        };
        lab.bridge
            .check(&conf, &result, &pod)
            .fails()
            .names(&["masquerade", "fd00:1::5"]);
        lab.bridge
            .del_with(&conf, &result, &pod)
            .succeeds_silently();
        assert_eq!(traces(&lab), "", "{backend}");
    }
}

#[test]
fn rules_of_newer_references_for_each_address_are_removed_too() {
    let Some(lab) = lab("nftables") else { return };
    let pod = lab.host.pod("one");
    dual(&lab, 5);
    let conf = conf(&lab, "nftables");
    let result = lab.bridge.add(&conf, &pod).succeeds();
    let table = lab.host.sh("nft list table inet cni_plugins_masquerade");
    let comment = table
        .split('"')
        .find(|part| part.contains(", net: net, if: eth0"))
        .unwrap()
        .to_owned();
    lab.host.sh(&format!(
        "nft add rule inet cni_plugins_masquerade masq_checks ip saddr 10.1.0.5 ip daddr != 10.1.0.0/24 \
         masquerade comment '\"{comment}\"'"
    ));
    lab.bridge
        .del_with(&conf, &result, &pod)
        .succeeds_silently();
    assert_eq!(traces(&lab), "");
}

#[test]
fn two_interfaces_of_one_container_share_the_iptables_chain_until_the_last_leaves() {
    let Some(lab) = lab("iptables") else { return };
    let uplink = lab.host.uplink();
    let pod = lab.host.pod("one");
    let conf = conf(&lab, "iptables");
    dual(&lab, 5);
    lab.bridge.add(&conf, &pod).succeeds();
    dual(&lab, 6);
    let plain = lab.routed(json!({"isGateway": true, "ipMasq": true, "ipMasqBackend": "iptables"}));
    let second = lab
        .bridge
        .call("ADD", &plain)
        .pod(&pod)
        .env("CNI_IFNAME", "net1")
        .run()
        .succeeds();
    let mut del = plain.clone();
    del["prevResult"] = second;
    lab.bridge
        .call("DEL", &del)
        .pod(&pod)
        .env("CNI_IFNAME", "net1")
        .run()
        .succeeds_silently();
    assert_eq!(seen_outside(&pod, &uplink), Uplink::HOST.map(Ok));
    lab.bridge.del(&conf, &pod).succeeds_silently();
    assert_eq!(traces(&lab), "");
}

#[test]
fn an_address_that_the_container_changed_does_not_hide_its_masquerade() {
    for backend in BOTH {
        let Some(lab) = lab(backend) else { continue };
        let pod = lab.host.pod("one");
        dual(&lab, 5);
        lab.bridge.add(&conf(&lab, backend), &pod).succeeds();
        pod.ip("addr flush dev eth0 scope global");
        pod.ip("addr add 10.1.0.99/24 dev eth0");
        lab.bridge
            .del(&conf(&lab, backend), &pod)
            .succeeds_silently();
        assert_eq!(traces(&lab), "", "{backend}");
    }
}

#[test]
fn check_names_the_subnet_whose_rule_is_gone_and_the_next_add_does_not_mind() {
    let Some(lab) = lab("nftables") else { return };
    let uplink = lab.host.uplink();
    let pod = lab.host.pod("one");
    dual(&lab, 5);
    let conf = conf(&lab, "nftables");
    let result = lab.bridge.add(&conf, &pod).succeeds();
    let name = set(&lab, "10.1.0.0/24");
    lab.host
        .sh("nft flush chain inet cni_plugins_masquerade masq_checks");
    lab.bridge.check(&conf, &result, &pod).fails().names(&[
        "masquerade",
        "10.1.0.5",
        "masq_checks",
        &name,
    ]);
    lab.bridge.del(&conf, &pod).succeeds_silently();
    lab.host.sh("nft flush ruleset");
    lab.bridge.add(&conf, &pod).succeeds();
    assert_eq!(seen_outside(&pod, &uplink), Uplink::HOST.map(Ok));
}

#[test]
fn one_address_in_two_networks_is_masqueraded_for_each_and_given_up_by_each() {
    let Some(lab) = lab("nftables") else { return };
    let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
    dual(&lab, 5);
    let mut second = conf(&lab, "nftables");
    second["name"] = json!("second");
    second["bridge"] = json!("br1");
    second["isDefaultGateway"] = json!(false);
    second["isGateway"] = json!(false);
    let first = conf(&lab, "nftables");
    lab.bridge.add(&first, &one).succeeds();
    lab.bridge.add(&second, &two).succeeds();
    lab.bridge.del(&first, &one).succeeds_silently();
    let left = traces(&lab);
    assert!(
        !left.contains("id-of-one") && left.matches("id-of-two").count() == 2,
        "{left}"
    );
}

#[test]
fn gc_of_the_reference_leaves_the_subnets_rules_alone() {
    let Some(lab) = lab("nftables") else { return };
    let pod = lab.host.pod("one");
    dual(&lab, 5);
    lab.bridge.add(&conf(&lab, "nftables"), &pod).succeeds();
    // It deletes the rules of this chain whose comment starts with the hash of the network.
    let chain = lab
        .host
        .sh("nft list chain inet cni_plugins_masquerade masq_checks");
    let hash = traces(&lab)
        .split('"')
        .find(|part| part.contains(", net: net"))
        .unwrap()[..16]
        .to_owned();
    assert!(chain.contains(" masquerade ") && !chain.contains(&format!("\"{hash}")));
}
