//! The networks that pods are on: every interface plugin that this kernel has, every chain.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// netloom's configurations, and the same in the version that Debian's Go plugins know.
pub(crate) const NOW: &str = "/etc/cni/net.d";
pub(crate) const THEN: &str = "/etc/cni/old.d";

/// The bridges that outlive their pods.
pub(crate) const BRIDGES: [&str; 4] = ["br-nft", "br-ipt", "br-fix", "cni0"];

pub(crate) struct Network {
    pub(crate) name: &'static str,
    /// Who answers a ping of its pods.
    pub(crate) gateway: Option<[u8; 4]>,
    /// Whether Debian's Go plugins do the same with the same configuration.
    pub(crate) is_mixed: bool,
    pub(crate) has_leases: bool,
}

const fn network(name: &'static str, gateway: Option<[u8; 4]>) -> Network {
    Network {
        name,
        gateway,
        is_mixed: false,
        has_leases: false,
    }
}

pub(crate) const NETWORKS: [Network; 6] = [
    network("nft", Some([10, 1, 0, 1])),
    Network {
        is_mixed: true,
        ..network("ipt", Some([10, 2, 0, 1]))
    },
    Network {
        is_mixed: true,
        ..network("ptp", None)
    },
    Network {
        has_leases: true,
        ..network("lan", Some([10, 4, 0, 1]))
    },
    network("flan", Some([10, 5, 3, 1])),
    network("fix", None),
];

/// Their configurations, in the order of the chain.
pub(crate) fn plugins(name: &str) -> Value {
    let pool = |n: u8| {
        json!({"type": "host-local", "ranges": [
            [{"subnet": format!("10.{n}.0.0/24")}], [{"subnet": format!("fd00:{n}::/64")}]
        ]})
    };
    let bridge = |bridge: &str, backend: &str, n: u8| {
        json!({
            "type": "bridge", "bridge": bridge, "isDefaultGateway": true, "hairpinMode": true,
            "ipMasq": true, "ipMasqBackend": backend, "ipam": pool(n),
        })
    };
    let portmap = |backend: &str| json!({"type": "portmap", "capabilities": {"portMappings": true}, "backend": backend});
    let firewall = |backend: &str| json!({"type": "firewall", "backend": backend});
    let bandwidth = json!({
        "type": "bandwidth", "ingressRate": 100_000_000, "ingressBurst": 10_000_000,
        "egressRate": 100_000_000, "egressBurst": 10_000_000,
    });
    let tuning = json!({
        "type": "tuning", "mtu": 1400, "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"}
    });
    match name {
        "nft" => {
            let mut first = bridge("br-nft", "nftables", 1);
            first["macspoofchk"] = json!(true);
            json!([
                first,
                portmap("nftables"),
                firewall("nftables"),
                bandwidth,
                tuning
            ])
        }
        "ipt" => json!([
            bridge("br-ipt", "iptables", 2),
            portmap("iptables"),
            firewall("iptables"),
            bandwidth,
            tuning,
        ]),
        "ptp" => {
            let mut ipam = pool(3);
            ipam["routes"] = json!([{"dst": "0.0.0.0/0"}]);
            let first =
                json!({"type": "ptp", "ipMasq": true, "ipMasqBackend": "iptables", "ipam": ipam});
            json!([first, {"type": "sbr"}, bandwidth])
        }
        "lan" => json!([
            {"type": "macvlan", "master": "lan0", "mode": "bridge", "ipam": {"type": "dhcp"}}, tuning,
        ]),
        "flan" => json!([
            {"type": "flannel", "delegate": {"isDefaultGateway": true, "ipMasqBackend": "nftables"}},
            portmap("nftables"),
        ]),
        _ => json!([
            {
                "type": "bridge", "bridge": "br-fix", "capabilities": {"ips": true},
                "ipam": {"type": "static"},
            },
            firewall("nftables"), tuning,
        ]),
    }
}

/// Writes the configurations, and what flanneld writes.
pub(crate) fn configure() {
    for (directory, version) in [(NOW, "1.1.0"), (THEN, "1.0.0")] {
        fs::create_dir_all(directory).unwrap();
        for network in &NETWORKS {
            let name = network.name;
            let list = json!({"cniVersion": version, "name": name, "plugins": plugins(name)});
            let file = Path::new(directory).join(format!("10-{name}.conflist"));
            fs::write(file, list.to_string()).unwrap();
        }
    }
    fs::create_dir_all("/run/flannel").unwrap();
    let subnet = "FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.3.1/24\nFLANNEL_MTU=1450\n\
                  FLANNEL_IPMASQ=false\n";
    fs::write("/run/flannel/subnet.env", subnet).unwrap();
}

/// What a runtime says of a pod's ports and address, by the pod's number.
pub(crate) fn capabilities(slot: usize) -> String {
    let mapping = |port: usize, protocol| json!({"hostPort": port, "containerPort": 80, "protocol": protocol});
    let port = 20_000 + 2 * slot;
    json!({
        "portMappings": [mapping(port, "tcp"), mapping(port + 1, "udp")],
        "ips": [format!("10.6.0.{}/24", slot + 1), format!("fd00:6::{}/64", slot + 1)],
    })
    .to_string()
}
