//! Ports that portmap publishes, on a host that drops what it is not told to forward.

use crate::support::{Lab, conf};
use netloom_testkit::{Pod, Uplink, probe};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);
/// To see that nothing comes.
const IMPATIENCE: Duration = Duration::from_millis(300);
/// A policy; the last rule of a host with ufw; a chain of the native kind.
const DROPS: [&str; 3] = [
    "iptables -P FORWARD DROP; ip6tables -P FORWARD DROP",
    "for t in iptables ip6tables; do $t -N last; $t -A last -j REJECT; $t -A FORWARD -j last; done",
    "nft 'table inet filter { chain forward { type filter hook forward priority 0; reject; }; }'",
];

/// A pod with a port published as 8080 of the host, and the firewall's configuration of it.
struct Published {
    pod: Pod,
    conf: Value,
}

fn publish(lab: &Lab, backend: &str, name: &str, subnet: u8) -> Published {
    let pod = lab.host.pod(name);
    let wired = lab.wire(&pod, &format!("br{subnet}"), subnet);
    let mappings = json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]);
    let portmap = json!({
        "cniVersion": "1.0.0", "name": "net", "type": "portmap", "backend": backend,
        "runtimeConfig": {"portMappings": mappings}, "prevResult": wired,
    });
    lab.portmap.add(&portmap, &pod).succeeds();
    // The host asks for IPv6 neighbours on behalf of others only when its own address on the new
    // bridge has been tested for duplicates; on its own behalf it can ask at once.
    lab.host
        .sh(&format!("ping -q -c 1 -w 10 fd00:{subnet}::2 >/dev/null"));
    let conf = conf(backend, &wired, json!({}));
    Published { pod, conf }
}

/// Whether a client gets through to a server of the pod; at once for both families.
fn reaches(
    client: &Pod,
    pod: &Pod,
    port: u16,
    at: [(IpAddr, u16); 2],
    patience: Duration,
) -> [bool; 2] {
    let listener = pod.run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap());
    let tried = std::thread::scope(|scope| {
        let tries = at.map(|at| {
            let connect =
                move || TcpStream::connect_timeout(&SocketAddr::from(at), patience).is_ok();
            scope.spawn(move || client.run(connect))
        });
        tries.map(|one| one.join().unwrap())
    });
    drop(listener);
    tried
}

/// The pod's own addresses, for whom knows a way to them.
fn own(subnet: u8, port: u16) -> [(IpAddr, u16); 2] {
    let v6 = format!("fd00:{subnet}::2").parse().unwrap();
    [([10, subnet, 0, 2].into(), port), (v6, port)]
}

/// The outside world knows the host as neighbour, and the way to the pods.
fn known_ways(uplink: &Uplink, subnet: u8) {
    let [v4, v6] = Uplink::HOST;
    assert!(uplink.outside.pings(v4) && uplink.outside.pings(v6));
    uplink.outside.sh(&format!(
        "ip route add 10.{subnet}.0.0/24 via {v4}; ip -6 route add fd00:{subnet}::/64 via {v6}"
    ));
}

#[test]
fn a_published_port_is_let_in_and_nothing_else() {
    for backend in ["nftables", "iptables"] {
        for (number, drop) in DROPS.into_iter().enumerate() {
            // What a native chain stops no rule of iptables lets in.
            if backend == "iptables" && number == 2 || number != 2 && !probe::has_iptables() {
                continue;
            }
            let Some(lab) = Lab::with(backend) else {
                continue;
            };
            let uplink = lab.host.uplink();
            lab.host.sh(drop);
            let Published { pod, conf } = publish(&lab, backend, "one", 1);
            known_ways(&uplink, 1);
            let outside = &uplink.outside;
            let ports = Uplink::HOST.map(|at| (at, 8080));
            let published = |patience| reaches(outside, &pod, 80, ports, patience);
            assert_eq!(published(IMPATIENCE), [false; 2], "{backend}: {drop}");
            lab.firewall.add(&conf, &pod).succeeds();
            assert_eq!(published(PATIENCE), [true; 2], "{backend}: {drop}");
            for port in [80, 81] {
                let direct = reaches(outside, &pod, port, own(1, port), IMPATIENCE);
                assert_eq!(
                    direct, [false; 2],
                    "{backend}: {drop}: {port} is not published"
                );
            }
            lab.firewall
                .check(&conf, &conf["prevResult"], &pod)
                .succeeds_silently();
            lab.firewall.del(&conf, &pod).succeeds_silently();
            assert_eq!(published(IMPATIENCE), [false; 2], "{backend}: {drop}");
            assert_eq!(lab.traces().matches("id-of-one, ").count(), 0);
            assert!(!lab.traces().contains("DNAT"), "{}", lab.traces());
        }
    }
}

/// As commit 17b6fbc left them.
#[test]
fn rules_of_former_netloom_are_whole_and_the_next_add_lets_published_ports_in() {
    let Some(lab) = Lab::with("nftables") else {
        return;
    };
    let uplink = lab.host.uplink();
    lab.host.sh(DROPS[2]);
    let Published { pod, conf } = publish(&lab, "nftables", "one", 1);
    lab.firewall.add(&conf, &pod).succeeds();
    lab.host.sh(
        "nft -a list chain inet cni_plugins_firewall pods | grep 'ct status dnat' |
         sed 's/.*handle //' | while read -r handle; do
           nft delete rule inet cni_plugins_firewall pods handle $handle; done",
    );
    let reaches = |patience| {
        let ports = Uplink::HOST.map(|at| (at, 8080));
        reaches(&uplink.outside, &pod, 80, ports, patience)
    };
    assert_eq!(reaches(IMPATIENCE), [false; 2]);
    let check = || lab.firewall.check(&conf, &conf["prevResult"], &pod);
    check().succeeds_silently();
    // One of another network.
    let other = lab.host.pod("two");
    let wired = lab.wire(&other, "br2", 2);
    let mut of_other = self::conf("nftables", &wired, json!({}));
    of_other["name"] = json!("another");
    lab.firewall.add(&of_other, &other).succeeds();
    assert_eq!(reaches(PATIENCE), [true; 2], "{}", lab.rules());
    check().succeeds_silently();
    lab.host.sh(
        "nft -a list chain inet cni_plugins_firewall pods | grep 'ct status dnat' | head -1 |
         sed 's/.*handle //' | while read -r handle; do
           nft delete rule inet cni_plugins_firewall pods handle $handle; done",
    );
    check().fails().names(&["chain pods", "pods4-"]);
}

/// What stops all connections of pods, what it must not be taken for, and what its name is.
#[test]
fn check_names_the_native_chain_that_lets_nothing_of_pods_pass() {
    let stops = [
        "reject with icmpx type admin-prohibited;",
        "policy drop;",
        "ct state established,related accept; iifname \"lo\" accept; meta l4proto icmp accept; counter drop;",
        "iifname \"docker*\" accept; tcp dport 22 drop; log prefix \"no: \" reject;",
    ];
    let passes = [
        "policy accept; tcp dport 22 reject;",
        "iifname \"br*\" accept; drop;",
        "ip saddr 10.0.0.0/8 accept; reject;",
        "ct state new,established accept; drop;",
        "policy drop; jump others;",
        "iifname { \"br1\", \"br2\" } accept; reject;",
    ];
    let labs = [
        ("iptables", "filter"),
        ("iptables", "own"),
        ("nftables", "own"),
    ];
    for (backend, name) in labs {
        let Some(lab) = Lab::with(backend) else {
            continue;
        };
        let pod = lab.host.pod("one");
        let wired = lab.wire(&pod, "br1", 1);
        let conf = conf(backend, &wired, json!({}));
        lab.firewall.add(&conf, &pod).succeeds();
        let check = || lab.firewall.check(&conf, &wired, &pod);
        let lay = |rules: &str| {
            lab.host.sh(&format!(
                "nft 'table inet {name} {{}}; delete table inet {name}; table inet {name} {{
                   chain others {{ }}; chain forward {{
                     type filter hook forward priority 0; {rules} }}; }}'"
            ))
        };
        for rules in passes {
            lay(rules);
            check().succeeds_silently();
        }
        for rules in stops {
            lay(rules);
            let chain = format!("chain inet {name} forward");
            check().fails().names(&[&chain, "nft insert rule"]);
        }
        let pass = match backend {
            "nftables" => "meta mark 0x434e4946",
            _ => "iifname br1",
        };
        lab.host.sh(&format!(
            "nft insert rule inet {name} forward {pass} accept"
        ));
        check().succeeds_silently();
    }
}
