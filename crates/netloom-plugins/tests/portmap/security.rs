//! What must not be reached, each as a test that fails without its guard.

use crate::support::{BOTH, GATEWAY, IMPATIENCE, LOOPBACK, Lab, Server, tcp};
use netloom_testkit::Uplink;
use serde_json::json;
use std::net::UdpSocket;

/// CVE-2025-67499: a port is a port of this host, not of everything that passes through it.
#[test]
fn what_only_passes_through_to_the_same_port_is_left_alone() {
    for backend in BOTH {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        let uplink = lab.uplink();
        let (one, two) = (lab.wire("one", 5), lab.wire("two", 6));
        lab.map(&one, tcp(8080, 80));
        let (mapped, passed) = (Server::in_pod(&one.pod, 80), Server::in_pod(&two.pod, 8080));
        uplink
            .outside
            .sh("ip route add 10.1.0.0/24 via 198.51.100.2");
        uplink
            .outside
            .sh("ip -6 route add fd00:1::/64 via 2001:db8:51::2");
        let (v4, v6) = (two.v4, two.v6);
        for pod in [v4, v6] {
            let through = uplink.outside.run(|| passed.reached(pod, 8080));
            assert!(through.is_some(), "{backend}: {pod} from outside");
            assert!(
                passed.reached(pod, 8080).is_some(),
                "{backend}: {pod} from the host"
            );
        }
        assert!(mapped.reached(Uplink::HOST[0], 8080).is_some(), "{backend}");
    }
}

/// CVE-2019-9946: rules that were there before, such as those of services, come first, and so do
/// those that are made later.
#[test]
fn rules_of_others_for_the_same_port_come_first() {
    for backend in BOTH {
        for earlier in [true, false] {
            let Some(lab) = Lab::new(backend) else {
                continue;
            };
            let uplink = lab.uplink();
            let (one, two) = (lab.wire("one", 5), lab.wire("two", 6));
            let service = || {
                match backend {
                "iptables" => lab.host.sh(
                    "iptables -t nat -N SERVICES
                     iptables -t nat -A SERVICES -p tcp --dport 8080 -j DNAT --to-destination 10.1.0.6:80
                     iptables -t nat -I PREROUTING -j SERVICES",
                ),
                _ => lab.host.sh(
                    "nft add table ip services
                     nft add chain ip services pre '{ type nat hook prerouting priority dstnat ; }'
                     nft add rule ip services pre tcp dport 8080 dnat to 10.1.0.6:80",
                ),
            }
            };
            if earlier {
                service();
            }
            lab.map(&one, tcp(8080, 80));
            if !earlier {
                service();
            }
            let (pod, service) = (Server::in_pod(&one.pod, 80), Server::in_pod(&two.pod, 80));
            let host = Uplink::HOST[0];
            let to_service = uplink.outside.run(|| service.reached(host, 8080));
            assert!(to_service.is_some(), "{backend}, made earlier: {earlier}");
            drop(pod);
        }
    }
}

/// With route_localnet open on the bridge, a pod could talk to what listens on the host's loopback.
#[test]
fn nobody_on_a_wire_is_or_reaches_the_loopback_of_the_host() {
    for backend in BOTH {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        let one = lab.wire("one", 5);
        lab.map(&one, tcp(8080, 80));
        let open = lab
            .host
            .sh("cat /proc/sys/net/ipv4/conf/br0/route_localnet");
        assert_eq!(open.trim(), "1", "{backend}");
        let secret = Server::here(9090);
        assert!(secret.reached([127, 0, 0, 1], 9090).is_some());
        // As an attacker would: 127.0.0.1 by way of the gateway.
        one.pod.sh("ip addr del 127.0.0.1/8 dev lo
             echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
             ip route del local 127.0.0.0/8 dev lo table local 2>/dev/null || true
             ip route del local 127.0.0.1 dev lo table local 2>/dev/null || true
             ip route add 127.0.0.1/32 via 10.1.0.1 dev eth0 src 10.1.0.5");
        let attack = one.pod.run(|| secret.is_out_of_reach([127, 0, 0, 1], 9090));
        assert!(
            attack,
            "{backend}: the host's 127.0.0.1 was reached from the pod"
        );
        // The attack works where the guard is missing; so it is the guard that stops it.
        lab.host.sh(match backend {
            "iptables" => "iptables -t raw -F PREROUTING",
            _ => "nft flush chain ip cni_hostport localnet",
        });
        let unguarded = one.pod.run(|| secret.reached([127, 0, 0, 1], 9090));
        assert!(unguarded.is_some(), "{backend}: the attack is no attack");
    }
}

/// The same the other way round: what trusts 127.0.0.0/8 must not hear it from a pod.
#[test]
fn nobody_on_a_wire_speaks_from_the_loopback_of_the_host() {
    for backend in BOTH {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        let one = lab.wire("one", 5);
        lab.map(&one, tcp(8080, 80));
        for link in ["all", "br0"] {
            let filter = format!("/proc/sys/net/ipv4/conf/{link}/rp_filter");
            lab.host.sh(&format!("echo 0 > {filter}"));
        }
        one.pod
            .sh("ip link set lo up; ip addr add 127.0.0.2/32 dev lo
             echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet");
        let server = UdpSocket::bind("10.1.0.1:9090").unwrap();
        server.set_read_timeout(Some(IMPATIENCE)).unwrap();
        let mut buffer = [0; 8];
        let mut heard = || {
            one.pod.run(|| {
                let liar = UdpSocket::bind("127.0.0.2:0").unwrap();
                liar.send_to(b"local", "10.1.0.1:9090").unwrap();
            });
            server
                .recv_from(&mut buffer)
                .ok()
                .map(|(_, from)| from.ip())
        };
        assert_eq!(heard(), None, "{backend}: a pod speaks from 127.0.0.2");
        lab.host.sh(match backend {
            "iptables" => "iptables -t raw -F PREROUTING",
            _ => "nft flush chain ip cni_hostport localnet",
        });
        let spoofed = Some([127, 0, 0, 2].into());
        assert_eq!(heard(), spoofed, "{backend}: the attack is no attack");
    }
}

#[test]
fn del_leaves_alone_what_another_attachment_with_the_same_address_has_now() {
    // The new one has the same port, or another: the address alone must not make its rules the old one's.
    let cases = BOTH.map(|backend| [(backend, 8080), (backend, 8081)]);
    for (backend, port) in cases.into_iter().flatten() {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        let uplink = lab.uplink();
        let old = lab.wire("old", 5);
        let gone = lab.map(&old, tcp(8080, 80));
        lab.host.sh("ip link set br0 down; ip link set br0 up");
        old.pod.ip("link del eth0");
        let new = lab.wire("new", 5);
        lab.map(&new, tcp(port, 80));
        for _ in 0..2 {
            lab.portmap.del(&gone, &old.pod).succeeds_silently();
        }
        assert!(
            !lab.traces().contains("id-of-old"),
            "{backend}: {}",
            lab.traces()
        );
        let server = Server::in_pod(&new.pod, 80);
        for (host, gateway) in Uplink::HOST.into_iter().zip(GATEWAY) {
            let case = format!("{backend}, port {port}, {host}");
            let outside = uplink.outside.run(|| server.reached(host, port));
            assert!(outside.is_some(), "{case}");
            let hairpin = new.pod.run(|| server.reached(host, port));
            assert_eq!(hairpin, Some(gateway), "{case}: the masquerade too");
        }
    }
}

#[test]
fn networks_with_conditions_can_have_one_port() {
    for backend in BOTH {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        let uplink = lab.uplink();
        let (one, two) = (lab.wire("one", 5), lab.wire("two", 6));
        let only = |name: &str, v4: &str, v6: &str| match backend {
            "iptables" => {
                json!({"name": name, "conditionsV4": ["-s", v4], "conditionsV6": ["-s", v6]})
            }
            _ => json!({
                "name": name,
                "conditionsV4": ["ip", "saddr", v4],
                "conditionsV6": ["ip6", "saddr", v6],
            }),
        };
        let outside = lab.map_with(
            &one,
            tcp(8080, 80),
            only("wan", "198.51.100.0/24", "2001:db8:51::/64"),
        );
        let inside = lab.map_with(
            &two,
            tcp(8080, 80),
            only("lan", "10.1.0.0/24", "fd00:1::/64"),
        );
        let (wan, lan) = (Server::in_pod(&one.pod, 80), Server::in_pod(&two.pod, 80));
        for (conf, wired) in [(&outside, &one), (&inside, &two)] {
            lab.portmap
                .check(conf, &wired.result, &wired.pod)
                .succeeds_silently();
        }
        for host in Uplink::HOST {
            let reached = || uplink.outside.run(|| wan.reached(host, 8080)).is_some();
            assert!(reached(), "{backend}: {host}");
            let neighbour = one.pod.run(|| lan.reached(host, 8080));
            assert!(neighbour.is_some(), "{backend}: {host}");
        }
        // ::1 meets no condition, and the address that it would get must not be asked in its place.
        assert!(lan.is_out_of_reach(LOOPBACK[1], 8080), "{backend}");
        lab.portmap.del(&inside, &two.pod).succeeds_silently();
        for host in Uplink::HOST {
            let reached = uplink.outside.run(|| wan.reached(host, 8080));
            assert!(reached.is_some(), "{backend}: {host}");
        }
        lab.portmap.del(&outside, &one.pod).succeeds_silently();
        assert_eq!(lab.traces(), "", "{backend}");
    }
}

#[test]
fn conditions_of_one_network_do_not_disturb_another() {
    for backend in BOTH {
        let Some(lab) = Lab::new(backend) else {
            continue;
        };
        let uplink = lab.uplink();
        let (one, two) = (lab.wire("one", 5), lab.wire("two", 6));
        let three = lab.wire("three", 7);
        let (only_v4, only_v6) = match backend {
            "iptables" => (
                json!(["!", "-s", "198.51.100.0/24"]),
                json!(["-s", "fd00:1::/64"]),
            ),
            _ => (
                json!(["ip", "saddr", "!=", "198.51.100.0/24"]),
                json!(["ip6", "saddr", "{ fd00:1::/64 }"]),
            ),
        };
        lab.map(&one, tcp(8080, 80));
        let conditions =
            json!({"name": "strict", "conditionsV4": only_v4, "conditionsV6": only_v6});
        let strict = lab.map_with(&two, tcp(8081, 80), conditions);
        lab.map(&three, tcp(8082, 80));
        let servers = [&one, &two, &three].map(|wired| Server::in_pod(&wired.pod, 80));
        for host in Uplink::HOST {
            let outside = |at: usize| {
                let port = 8080 + u16::try_from(at).unwrap();
                uplink
                    .outside
                    .run(|| !servers[at].is_out_of_reach(host, port))
            };
            assert_eq!(
                [0, 1, 2].map(outside),
                [true, false, true],
                "{backend}: {host}"
            );
            assert!(
                one.pod.run(|| servers[1].reached(host, 8081)).is_some(),
                "{backend}: {host}"
            );
        }
        lab.portmap
            .check(&strict, &two.result, &two.pod)
            .succeeds_silently();
        lab.portmap.del(&strict, &two.pod).succeeds_silently();
        assert!(
            !lab.traces().contains("id-of-two"),
            "{backend}: {}",
            lab.traces()
        );
        let still = uplink
            .outside
            .run(|| servers[0].reached(Uplink::HOST[0], 8080));
        assert!(still.is_some(), "{backend}");
        let mut gc = strict.clone();
        gc.as_object_mut().unwrap().remove("prevResult");
        lab.portmap.gc(&gc, &[]).succeeds_silently();
        let left = lab.host.sh("nft list ruleset 2>/dev/null");
        assert!(
            !left.contains("if-"),
            "{backend}: a network's chain goes with its last: {left}"
        );
    }
}
