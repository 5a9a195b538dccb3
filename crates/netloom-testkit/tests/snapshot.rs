//! Snapshots see what changes, and nothing that did not.

use netloom_testkit::{Host, Plugin, Snapshot, probe, skip};
use serde_json::json;

/// Everything that a snapshot must see: what makes it, where, and words of its difference.
const CHANGES: [(&str, &str, &str); 24] = [
    ("host", "ip link add d0 type bridge", "+ host: link d0"),
    (
        "host",
        "ip link set lo mtu 1600",
        "~ host: link lo.mtu: 65536 -> 1600",
    ),
    ("host", "ip link set lo alias x", "~ host: link lo.ifalias"),
    ("host", "ip link set lo promisc on", "promiscuity: 0 -> 1"),
    (
        "host",
        "ip link set v0 address 02:00:00:00:00:01",
        "~ host: link v0.address",
    ),
    (
        "host",
        "ip link set v0 master br0",
        "~ host: link v0.master: null -> \"br0\"",
    ),
    (
        "host",
        "ip link set v0 down",
        "~ host: link v0.flags: gone \"UP\"",
    ),
    (
        "host",
        "ip addr add 10.9.9.1/24 dev lo",
        "+ host: address 10.9.9.1/24 dev lo",
    ),
    (
        "pod",
        "ip addr add fd00::9/64 dev eth0 nodad",
        "+ pod one: address fd00::9/64 dev eth0",
    ),
    (
        "host",
        "ip route add 10.8.0.0/16 dev lo",
        "+ host: route 10.8.0.0/16 table main",
    ),
    (
        "pod",
        "ip route add default dev eth0 table 77",
        "+ pod one: route default table 77",
    ),
    (
        "host",
        "ip -6 route add 2001:db8::/32 dev lo",
        "+ host: route 2001:db8::/32",
    ),
    (
        "host",
        "ip rule add from 10.1.1.1 table 9",
        "+ host: rule -4",
    ),
    (
        "pod",
        "ip -6 rule add from fd00::1 table 9",
        "+ pod one: rule -6",
    ),
    (
        "host",
        "ip neigh add 10.1.1.1 lladdr 02:00:00:00:00:09 dev v0",
        "+ host: neighbour 10.1.1.1",
    ),
    ("host", "nft add table ip t", "+ host: nft table ip t"),
    (
        "host",
        "nft 'add chain inet known c; add rule inet known c drop'",
        "nft chain inet known c",
    ),
    (
        "pod",
        "nft 'add table ip t; add set ip t s { type ipv4_addr; }'",
        "+ pod one: nft set ip t s",
    ),
    (
        "host",
        "tc qdisc add dev v0 root tbf rate 1mbit burst 32k latency 1ms",
        "+ host: qdisc tbf",
    ),
    (
        "host",
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
        "net/ipv4.ip_forward: \"0\" -> \"1\"",
    ),
    (
        "pod",
        "echo 1 > /proc/sys/net/ipv4/conf/eth0/arp_notify",
        "conf/eth0.arp_notify",
    ),
    (
        "host",
        "echo x > /var/lib/cni/f",
        "+ host: file /var/lib/cni/f",
    ),
    (
        "host",
        "chmod 600 /run/known",
        "~ host: file /run/known.mode: \"644\" -> \"600\"",
    ),
    (
        "host",
        "head -c 999 /dev/zero > /etc/cni/f",
        "\"bytes\":999",
    ),
];

#[test]
fn each_kind_of_change_is_seen_and_told() {
    for (place, line, words) in CHANGES {
        let Some(host) = Host::new() else { return };
        let pod = host.pod("one");
        host.sh("ip link add v0 type veth peer name eth0 netns one; ip link set v0 up
            ip link add br0 type bridge; nft add table inet known; touch /run/known; chmod 644 /run/known");
        pod.sh("ip link set lo up; ip link set eth0 up");
        let before = Snapshot::take(&host, &[&pod]);
        if place == "pod" {
            pod.sh(line)
        } else {
            host.sh(line)
        };
        let difference = Snapshot::take(&host, &[&pod]).difference_from(&before);
        let told = difference.to_string();
        assert!(
            told.contains(words),
            "`{line}` should be told as {words:?}:\n{told}"
        );
    }
}

#[test]
fn rules_of_iptables_are_seen_with_their_comments() {
    let Some(host) = Host::new() else { return };
    if !probe::has_iptables() {
        return skip("no iptables on this machine");
    }
    let before = Snapshot::take(&host, &[]);
    host.sh("iptables -w -t nat -N CNI-x; iptables -w -t nat -A CNI-x -m comment --comment abc -j ACCEPT");
    let told = Snapshot::take(&host, &[])
        .difference_from(&before)
        .to_string();
    assert!(told.contains("--comment abc"), "{told}");
    host.sh("iptables -w -t nat -F CNI-x; iptables -w -t nat -X CNI-x");
    let left = Snapshot::take(&host, &[]);
    assert!(
        !left.difference_from(&before).is_empty(),
        "the table was made"
    );
    left.without_shared(&[])
        .assert_same_as(&before.without_shared(&[]));
}

#[test]
fn a_quiet_host_stays_the_same() {
    let Some(host) = Host::new() else { return };
    let _uplink = host.uplink();
    let pod = host.pod("one");
    host.sh(
        "ip link add br0 type bridge; ip link set br0 up; ip addr add 10.1.0.1/24 dev br0
        ip link add v0 type veth peer name eth0 netns one; ip link set v0 master br0 up",
    );
    pod.sh("ip addr add 10.1.0.2/24 dev eth0; ip link set eth0 up");
    let before = Snapshot::take(&host, &[&pod]);
    assert!(pod.pings([10, 1, 0, 1]));
    host.sh("nft 'add table ip t; delete table ip t'; ip link add d0 type veth; ip link del d0");
    // Traffic, learned neighbours, duplicate address detection, timers and indexes went on.
    Snapshot::take(&host, &[&pod]).assert_same_as(&before);
}

#[test]
fn debians_add_is_seen_and_its_del_leaves_only_what_is_shared() {
    let Some(host) = Host::new() else { return };
    let Some(bridge) = Plugin::debian("bridge") else {
        return;
    };
    if !probe::has_iptables() {
        return skip("no iptables on this machine");
    }
    let _uplink = host.uplink();
    let pod = host.pod("one");
    let conf = json!({
        "cniVersion": "1.0.0", "name": "net", "type": "bridge", "bridge": "cni0",
        "isGateway": true, "ipMasq": true,
        "ipam": {"type": "host-local", "subnet": "10.9.0.0/24", "routes": [{"dst": "0.0.0.0/0"}]}
    });
    let before = Snapshot::take(&host, &[&pod]);
    bridge.add(&conf, &pod).succeeds();
    let added = Snapshot::take(&host, &[&pod]);
    let told = added.difference_from(&before).to_string();
    for words in [
        "+ host: link veth",
        "+ host: link cni0",
        "+ pod one: link eth0",
        "+ pod one: address 10.9.0.2/24 dev eth0",
        "+ pod one: route default table main",
        "+ host: file /var/lib/cni/networks/net/10.9.0.2 {\"content\":\"id-of-one\\r\\neth0\"",
        "id: \\\\\\\"id-of-one\\\\\\\"",
        "net/ipv4.ip_forward",
    ] {
        assert!(told.contains(words), "should tell {words}:\n{told}");
    }
    let shared = ["cni0"];
    let unshared = added
        .without_shared(&shared)
        .difference_from(&before.without_shared(&shared));
    let unshared = unshared.to_string();
    assert!(!unshared.contains("cni0 "), "{unshared}");
    assert!(
        unshared.contains("id-of-one") && unshared.contains("link veth"),
        "{unshared}"
    );
    bridge.del(&conf, &pod).succeeds_silently();
    let deleted = Snapshot::take(&host, &[&pod]);
    deleted
        .without_shared(&shared)
        .assert_same_as(&before.without_shared(&shared));
    let kept = deleted.difference_from(&before).to_string();
    assert!(
        kept.contains("+ host: address 10.9.0.1/24 dev cni0"),
        "{kept}"
    );
}

#[test]
fn a_rule_left_behind_is_not_taken_for_shared() {
    let Some(host) = Host::new() else { return };
    let before = Snapshot::take(&host, &[]);
    let table = "add table inet cni_plugins_masquerade; add chain inet cni_plugins_masquerade masq_checks;
        add chain inet cni_plugins_masquerade postrouting { type nat hook postrouting priority 100; };
        add rule inet cni_plugins_masquerade postrouting ip daddr 224.0.0.0/4 return;
        add rule inet cni_plugins_masquerade postrouting goto masq_checks";
    host.sh(&format!("nft '{table}'"));
    let idle = Snapshot::take(&host, &[]);
    idle.without_shared(&[])
        .assert_same_as(&before.without_shared(&[]));
    for rest in [
        "add rule inet cni_plugins_masquerade masq_checks ip saddr 10.1.0.5 masquerade comment \"x\"",
        "add chain inet cni_plugins_masquerade of-one; add rule inet cni_plugins_masquerade postrouting jump of-one",
        "add map inet cni_plugins_masquerade m { type ipv4_addr : verdict; }; add element inet cni_plugins_masquerade m { 10.1.0.5 : drop }",
    ] {
        host.sh(&format!("nft '{rest}'"));
        let left = Snapshot::take(&host, &[]);
        let told = left
            .without_shared(&[])
            .difference_from(&before.without_shared(&[]));
        assert!(!told.is_empty(), "`{rest}` is taken for shared");
        host.sh(&format!("nft 'flush ruleset; {table}'"));
    }
}
