//! The rows: how each plugin is configured, and what its pods' traffic is.

use netloom_testkit::Uplink;
use serde_json::{Value, json};

use crate::background;
use crate::subject::{Column, Cure, Exception, Subject, Traffic};

/// What most plugins are like.
const PLAIN: Subject = Subject {
    name: "",
    needs: None,
    chain: |_| vec![ptp(pools())],
    if_name: "eth0",
    prepare: |_, _, _| Some(Vec::new()),
    traffic: Traffic::ToServer,
    dies: |_, _| {},
    exceptions: &[],
};

const SUBJECTS: &[Subject] = &[
    Subject {
        name: "bandwidth",
        chain: |_| {
            let shape = json!({
                "ingressRate": 80_000_000, "ingressBurst": 8_000_000,
                "egressRate": 80_000_000, "egressBurst": 8_000_000,
            });
            vec![ptp(pools()), conf("bandwidth", shape)]
        },
        exceptions: &[Exception {
            column: Column::OurGcOfTheDead,
            because: &["bwp"],
            cure: Cure::OurDel,
            note: "Go's ifb does not say whose it is, so GC leaves it to DEL.",
        }],
        ..PLAIN
    },
    Subject {
        name: "bridge",
        chain: |_| vec![bridge(json!({"macspoofchk": true, "ipMasq": true}))],
        exceptions: &[Exception {
            column: Column::OurGcOfTheDead,
            because: &["cni-br-iface-id-of-pod-eth0"],
            cure: Cure::OurDel,
            note: "its spoof check (`macspoofchk`) does not say which network it is of, so GC leaves it to DEL.",
        }],
        ..PLAIN
    },
    Subject {
        name: "dhcp",
        chain: |_| {
            let keys = json!({"bridge": "br0", "ipam": {"type": "dhcp"}});
            vec![conf("bridge", keys)]
        },
        prepare: |host, _, side| background::dhcp(host, side),
        traffic: Traffic::ToHost(background::DHCP_SERVER),
        exceptions: &[
            Exception {
                column: Column::OurGcOfTheDead,
                because: &["/dnsmasq.leases", "veth"],
                cure: Cure::OurDel,
                note: "Go's daemon, which still runs, knows no GC: it keeps lease and namespace of a pod that died \
                   until DEL.",
            },
            Exception {
                column: Column::GoDel,
                because: &["/dnsmasq.leases"],
                cure: Cure::GoAlone,
                note: "Go's bridge removes the link before it gives the lease back, which then nobody can: it ends by \
                   itself, also one that Go added.",
            },
        ],
        ..PLAIN
    },
    Subject {
        name: "firewall",
        chain: |_| {
            vec![
                ptp(pools()),
                conf("firewall", json!({"backend": "iptables"})),
            ]
        },
        // Without the plugin's rules nothing would pass.
        prepare: |host, _, _| {
            host.sh("iptables -w -P FORWARD DROP; ip6tables -w -P FORWARD DROP");
            Some(Vec::new())
        },
        exceptions: &[
            Exception {
                column: Column::OurGcOfTheDead,
                because: &["CNI-FORWARD"],
                cure: Cure::OurDel,
                note: "Go's rules do not say whose they are, so GC leaves them to DEL.",
            },
            Exception {
                column: Column::GoDel,
                because: &["CNI-"],
                cure: Cure::OurGc,
                note: "Go's DEL leaves netloom's rule for published ports, and a chain that \
                       nothing jumps to; netloom's GC takes both.",
            },
        ],
        ..PLAIN
    },
    Subject {
        name: "host-device",
        chain: |number| {
            let address = json!([{"address": format!("10.{number}.0.2/24")}]);
            let ipam = json!({"type": "static", "addresses": address});
            vec![conf(
                "host-device",
                json!({"device": format!("nic{number}"), "ipam": ipam}),
            )]
        },
        prepare: |host, uplink, _| background::devices(host, uplink),
        traffic: Traffic::ToRouter(|number| [10, number, 0, 1].into()),
        exceptions: &[Exception {
            column: Column::GoDel,
            because: &["nic2.ifalias"],
            cure: Cure::GoAlone,
            note: "Go's DEL leaves the device its alias, also one that Go gave it; the next ADD of either takes no \
                   notice of it.",
        }],
        // The kernel gives a device back to the host; a veth would die with the namespace.
        dies: |host, pod| {
            host.ip(&format!(
                "-n {} link set eth0 netns {}",
                pod.name(),
                host.netns_path()
            ));
        },
        ..PLAIN
    },
    Subject {
        name: "host-local",
        ..PLAIN
    },
    Subject {
        name: "ipvlan",
        needs: Some("ipvlan"),
        chain: |_| {
            vec![conf(
                "ipvlan",
                json!({"master": "uplink0", "ipam": on_the_uplink()}),
            )]
        },
        traffic: Traffic::ToRouter(|_| Uplink::ROUTER[0]),
        ..PLAIN
    },
    Subject {
        name: "loopback",
        chain: |_| vec![conf("loopback", json!({}))],
        if_name: "lo",
        exceptions: &[Exception {
            column: Column::GoDel,
            because: &["link lo.ifalias"],
            cure: Cure::Time,
            note: "Go's DEL leaves the alias that netloom gave to `lo`, which goes with the pod.",
        }],
        traffic: Traffic::Within,
        ..PLAIN
    },
    Subject {
        name: "macvlan",
        needs: Some("macvlan"),
        chain: |_| {
            vec![conf(
                "macvlan",
                json!({"master": "uplink0", "ipam": on_the_uplink()}),
            )]
        },
        traffic: Traffic::ToRouter(|_| Uplink::ROUTER[0]),
        ..PLAIN
    },
    Subject {
        name: "portmap",
        chain: |number| {
            let mappings = json!([
                {"hostPort": mapped(number), "containerPort": crate::subject::PORT, "protocol": "tcp"},
                {"hostPort": mapped(number), "containerPort": 53, "protocol": "udp"},
            ]);
            let keys = json!({
                "backend": "iptables", "runtimeConfig": {"portMappings": mappings},
            });
            vec![bridge(json!({})), conf("portmap", keys)]
        },
        traffic: Traffic::MappedPort(mapped),
        exceptions: &[
            Exception {
                column: Column::GoCheck,
                because: &["could not check ipv6 dnat"],
                cure: Cure::GoAlone,
                note: "Go's CHECK of a pod with addresses of both families looks for IPv4's rules among those of \
                       IPv6, and misses them also where Go made them.",
            },
            Exception {
                column: Column::GoDel,
                because: &["ip6 cni_hostport"],
                cure: Cure::OurGc,
                note: "Go's DEL leaves the elements by which `[::1]` reached the ports. They do nothing then; \
                       netloom's GC takes them, or the next ADD of the port.",
            },
        ],
        ..PLAIN
    },
    Subject {
        name: "ptp",
        ..PLAIN
    },
    Subject {
        name: "sbr",
        chain: |_| vec![ptp(pools()), conf("sbr", json!({}))],
        prepare: |_, uplink, _| {
            uplink.outside.ip("route add 10.1.0.0/24 via 198.51.100.2");
            Some(Vec::new())
        },
        traffic: Traffic::FromOutside,
        exceptions: &[Exception {
            column: Column::GoCheck,
            because: &["Failed to find Gateway 10.1.0.1 for interface eth0"],
            cure: Cure::GoAlone,
            note: "CHECK of Go's ptp misses the routes that sbr moved to another table, also those that Go's moved.",
        }],
        ..PLAIN
    },
    Subject {
        name: "static",
        chain: |number| {
            let address = |family: &str| format!("{family}{number}");
            vec![ptp(json!({
                "type": "static",
                "addresses": [
                    {"address": address("10.1.0.1") + "/24", "gateway": "10.1.0.1"},
                    {"address": address("fd00:1::1") + "/64", "gateway": "fd00:1::1"},
                ],
                "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
            }))]
        },
        ..PLAIN
    },
    Subject {
        name: "tuning",
        chain: |_| {
            let keys = json!({
                "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"},
                "mtu": 1400, "promisc": true, "mac": "02:00:00:00:00:77",
            });
            vec![ptp(pools()), conf("tuning", keys)]
        },
        exceptions: &[
            Exception {
                column: Column::OurGcOfTheDead,
                because: &["/run/cni/tuning/"],
                cure: Cure::OurDel,
                note: "Go's file of former values does not say which network it is of, so GC leaves it to DEL.",
            },
            Exception {
                column: Column::GoCheck,
                because: &[
                    "open /proc/sys/net/ipv4/conf/IFNAME/arp_filter: no such file or directory",
                ],
                cure: Cure::GoAlone,
                note: "Go's CHECK does not know `IFNAME` in a sysctl, which its ADD knows.",
            },
        ],
        ..PLAIN
    },
    Subject {
        name: "vlan",
        needs: Some("vlan"),
        chain: |number| {
            let address = json!([{"address": format!("10.{number}.0.2/24")}]);
            let ipam = json!({"type": "static", "addresses": address});
            let keys =
                json!({"master": "uplink0", "vlanId": 100 + u16::from(number), "ipam": ipam});
            vec![conf("vlan", keys)]
        },
        prepare: |_, uplink, _| background::vlans(uplink),
        traffic: Traffic::ToRouter(|number| [10, number, 0, 1].into()),
        ..PLAIN
    },
    Subject {
        name: "vrf",
        needs: Some("vrf"),
        chain: |_| {
            vec![
                bridge(json!({"isDefaultGateway": false, "isGateway": true})),
                conf("vrf", json!({"vrfname": "blue"})),
            ]
        },
        traffic: Traffic::FromHost,
        exceptions: &[Exception {
            column: Column::GoCheck,
            because: &["Failed to find Gateway 10.1.0.1 for interface eth0"],
            cure: Cure::GoAlone,
            note: "CHECK of Go's bridge misses the routes that went to the VRF's table, also where Go's vrf made it.",
        }],
        ..PLAIN
    },
];

/// What is tried with the former netloom alone: Go's release has no other of it, or does not go so far.
const OF_NETLOOM: &[Subject] = &[
    Subject {
        name: "dhcp by netloom",
        chain: |_| {
            let keys = json!({"bridge": "br0", "ipam": {"type": "dhcp"}});
            vec![conf("bridge", keys)]
        },
        prepare: |host, _, side| background::dhcp(host, side),
        traffic: Traffic::ToHost(background::DHCP_SERVER),
        exceptions: &[Exception {
            column: Column::OurGcOfTheDead,
            because: &["/dnsmasq.leases"],
            cure: Cure::Time,
            note: "Without its link nobody can give a lease back.",
        }],
        ..PLAIN
    },
    Subject {
        name: "bridge, nftables",
        chain: |_| {
            let keys = json!({"macspoofchk": true, "ipMasq": true, "ipMasqBackend": "nftables"});
            vec![bridge(keys)]
        },
        ..PLAIN
    },
    Subject {
        name: "firewall, nftables",
        chain: |_| {
            vec![
                ptp(pools()),
                conf("firewall", json!({"backend": "nftables"})),
            ]
        },
        ..PLAIN
    },
    Subject {
        name: "portmap, nftables",
        chain: |number| {
            let mappings = json!([
                {"hostPort": mapped(number), "containerPort": crate::subject::PORT, "protocol": "tcp"},
                {"hostPort": mapped(number), "containerPort": 53, "protocol": "udp"},
            ]);
            let keys = json!({
                "backend": "nftables", "runtimeConfig": {"portMappings": mappings},
            });
            vec![bridge(json!({})), conf("portmap", keys)]
        },
        traffic: Traffic::MappedPort(mapped),
        ..PLAIN
    },
];

pub(crate) fn named(name: &str) -> &'static Subject {
    let mut all = SUBJECTS.iter().chain(OF_NETLOOM);
    all.find(|subject| subject.name == name).unwrap()
}

fn mapped(number: u8) -> u16 {
    8000 + u16::from(number)
}

/// A configuration in the newest version that both sides speak.
fn conf(plugin: &str, keys: Value) -> Value {
    let mut conf = json!({"cniVersion": "1.0.0", "name": "net", "type": plugin});
    for (key, value) in keys.as_object().unwrap() {
        conf[key] = value.clone();
    }
    conf
}

fn ptp(ipam: Value) -> Value {
    conf("ptp", json!({"ipMasq": true, "ipam": ipam}))
}

fn bridge(keys: Value) -> Value {
    let mut bridge = conf(
        "bridge",
        json!({
            "bridge": "br0", "isDefaultGateway": true, "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]],
            },
        }),
    );
    for (key, value) in keys.as_object().unwrap() {
        bridge[key] = value.clone();
    }
    bridge
}

fn pools() -> Value {
    json!({
        "type": "host-local",
        "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    })
}

/// Addresses beside the router's.
fn on_the_uplink() -> Value {
    json!({
        "type": "host-local",
        "ranges": [[{
            "subnet": "198.51.100.0/24", "rangeStart": "198.51.100.10", "gateway": "198.51.100.1",
        }]],
        "routes": [{"dst": "0.0.0.0/0", "gw": "198.51.100.1"}],
    })
}
