//! What is forwarded, and what is not.

use crate::support::{Lab, conf, gets_out};
use netloom_testkit::{Pod, Uplink, probe};
use serde_json::json;

/// Ways in which a host drops what it is not told to forward.
const DROPS: [&str; 2] = [
    "iptables -P FORWARD DROP; ip6tables -P FORWARD DROP",
    "nft 'table inet filter { chain forward { type filter hook forward priority 0; policy drop; }; }'",
];

#[test]
fn a_host_that_drops_forwards_for_the_pod_from_add_to_del() {
    for (backend, drop) in [
        ("nftables", DROPS[0]),
        ("nftables", DROPS[1]),
        ("iptables", DROPS[0]),
    ] {
        let Some(lab) = Lab::with(backend) else {
            continue;
        };
        if drop.contains("iptables") && !probe::has_iptables() {
            continue;
        }
        let uplink = lab.host.uplink();
        let (pod, other) = (lab.host.pod("one"), lab.host.pod("two"));
        let wired = lab.wire(&pod, "br0", 1);
        lab.wire(&other, "br0", 1);
        assert_eq!(gets_out(&pod, &uplink), [true; 2]);
        lab.host.sh(drop);
        assert_eq!(gets_out(&pod, &uplink), [false; 2], "{backend}: {drop}");
        let conf = conf(backend, &wired, json!({}));
        let result = lab.firewall.add(&conf, &pod).succeeds();
        assert_eq!(result, wired, "what came before is passed on");
        assert_eq!(gets_out(&pod, &uplink), [true; 2], "{backend}: {drop}");
        assert_eq!(gets_out(&other, &uplink), [false; 2], "only for that pod");
        lab.firewall.check(&conf, &result, &pod).succeeds_silently();
        lab.firewall.del(&conf, &pod).succeeds_silently();
        assert_eq!(gets_out(&pod, &uplink), [false; 2], "{backend}: {drop}");
        assert_eq!(lab.traces().matches("id-of-one, ").count(), 0);
    }
}

#[test]
fn what_begins_outside_is_not_let_in() {
    for backend in ["nftables", "iptables"] {
        let Some(lab) = Lab::with(backend) else {
            continue;
        };
        let (pod, other) = (lab.host.pod("one"), lab.host.pod("two"));
        let (wired, _) = (lab.wire(&pod, "br0", 1), lab.wire(&other, "br1", 2));
        lab.host.sh("iptables -P FORWARD DROP");
        lab.firewall
            .add(&conf(backend, &wired, json!({})), &pod)
            .succeeds();
        let [from, to] = [[10, 1, 0, 2], [10, 2, 0, 2]].map(std::net::IpAddr::from);
        assert!(pod.pings(to), "{backend}: the answer comes back");
        assert!(!other.pings(from), "{backend}");
    }
}

/// Gives a pod on `br1` the addresses of one on `br0`, and counts what it sends from them and the host
/// forwards.
fn prepare_to_forge(lab: &Lab, other: &Pod) {
    // As strict reverse path filters are not everywhere, and not for IPv6.
    lab.host.sh("echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter
         echo 0 > /proc/sys/net/ipv4/conf/br1/rp_filter
         nft 'table inet watch { counter forged {}; chain late {
             type filter hook forward priority 100;
             iifname br1 ip saddr 10.1.0.2 counter name forged;
             iifname br1 ip6 saddr fd00:1::2 counter name forged; }; }'");
    other.sh("ip addr add 10.1.0.2/32 dev eth0; ip addr add fd00:1::2/128 dev eth0 nodad");
}

/// Sends one packet of each family; how many have passed since the beginning.
fn forge(lab: &Lab, other: &Pod) -> u32 {
    for (from, to) in ["10.1.0.2", "fd00:1::2"].iter().zip(Uplink::SERVER) {
        other.sh(&format!(
            "ping -q -c 1 -W 1 -I {from} {to} >/dev/null || true"
        ));
    }
    let text = lab.host.sh("nft list counter inet watch forged");
    let (_, rest) = text.split_once("packets ").unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}

/// The rules of iptables are Go's, which accept an address by whatever link: docs/security.md says what
/// an administrator adds.
#[test]
fn with_iptables_the_administrators_chain_stops_a_forged_pod_address() {
    let Some(lab) = Lab::with("iptables") else {
        return;
    };
    let uplink = lab.host.uplink();
    let (pod, other) = (lab.host.pod("one"), lab.host.pod("two"));
    let (wired, _) = (lab.wire(&pod, "br0", 1), lab.wire(&other, "br1", 2));
    lab.host.sh(DROPS[0]);
    let conf = conf("iptables", &wired, json!({}));
    lab.firewall.add(&conf, &pod).succeeds();
    prepare_to_forge(&lab, &other);
    assert_eq!(forge(&lab, &other), 2, "it is time to change the documents");
    lab.host
        .sh("iptables -A CNI-ADMIN -s 10.1.0.0/24 ! -i br0 -j DROP
         ip6tables -A CNI-ADMIN -s fd00:1::/64 ! -i br0 -j DROP");
    assert_eq!(forge(&lab, &other), 2, "none has come since");
    assert_eq!(gets_out(&pod, &uplink), [true; 2]);
    lab.firewall.check(&conf, &wired, &pod).succeeds_silently();
    lab.firewall.del(&conf, &pod).succeeds_silently();
}

/// Who is on another bridge sends from the pod's address, to where only pods may send.
#[test]
fn a_forged_pod_address_on_another_wire_does_not_pass() {
    let Some(lab) = Lab::with("nftables") else {
        return;
    };
    if !probe::has_iptables() {
        return;
    }
    let uplink = lab.host.uplink();
    let (pod, other) = (lab.host.pod("one"), lab.host.pod("two"));
    let (wired, _) = (lab.wire(&pod, "br0", 1), lab.wire(&other, "br1", 2));
    lab.host.sh(DROPS[0]);
    let conf = conf("nftables", &wired, json!({}));
    lab.firewall.add(&conf, &pod).succeeds();
    lab.firewall.check(&conf, &wired, &pod).succeeds_silently();
    assert_eq!(gets_out(&pod, &uplink), [true; 2]);
    prepare_to_forge(&lab, &other);
    let forged = || forge(&lab, &other);
    assert_eq!(forged(), 0);
    // Without the rules the attack works: it is they that stop it.
    lab.host
        .sh("nft flush chain inet cni_plugins_firewall forward
         nft add rule inet cni_plugins_firewall forward jump pods");
    assert_eq!(forged(), 2, "the attack is no attack");
    lab.firewall.del(&conf, &pod).succeeds_silently();
    let left = lab.host.sh("nft list table inet cni_plugins_firewall");
    assert!(!left.contains("id-of-one"), "{left}");
}

#[test]
fn the_administrators_chain_comes_first() {
    for backend in ["nftables", "iptables"] {
        let Some(lab) = Lab::with(backend) else {
            continue;
        };
        let uplink = lab.host.uplink();
        let pod = lab.host.pod("one");
        let wired = lab.wire(&pod, "br0", 1);
        let conf = conf(
            backend,
            &wired,
            json!({"iptablesAdminChainName": "MY-RULES"}),
        );
        lab.firewall.add(&conf, &pod).succeeds();
        assert_eq!(gets_out(&pod, &uplink), [true; 2], "{backend}");
        match backend {
            "iptables" => lab.host.sh("iptables -A MY-RULES -s 10.1.0.2 -j DROP"),
            _ => lab
                .host
                .sh("nft add rule inet cni_plugins_firewall MY-RULES ip saddr 10.1.0.2 drop"),
        };
        assert_eq!(gets_out(&pod, &uplink), [false, true], "{backend}");
        lab.firewall.check(&conf, &wired, &pod).succeeds_silently();
    }
}

#[test]
fn marks_of_others_survive_and_the_own_does_not_leave_the_hook() {
    let Some(lab) = Lab::with("nftables") else {
        return;
    };
    let uplink = lab.host.uplink();
    let pod = lab.host.pod("one");
    let wired = lab.wire(&pod, "br0", 1);
    lab.firewall
        .add(&conf("nftables", &wired, json!({})), &pod)
        .succeeds();
    lab.host.sh("nft 'table inet watch {
            chain in { type filter hook prerouting priority 0; ip saddr 10.1.0.2 meta mark set 7; }
            chain out { type filter hook postrouting priority 0;
                meta mark 7 counter name seven; meta mark 0x434e4946 counter name own; }
            counter seven {}; counter own {}; }'");
    assert_eq!(gets_out(&pod, &uplink), [true; 2]);
    let packets = |name: &str| {
        let text = lab.host.sh(&format!("nft list counter inet watch {name}"));
        !text.contains("packets 0 ")
    };
    assert!(packets("seven"), "{}", lab.rules());
    assert!(!packets("own"), "{}", lab.rules());
}
