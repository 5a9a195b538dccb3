//! CHECK names what is no longer as ADD made it.

use crate::support::{Lab, tcp};
use serde_json::json;

type Drift = (&'static str, &'static [&'static str]);

const NFTABLES: [Drift; 12] = [
    (
        "nft flush map ip cni_hostport ports",
        &["8080/tcp", "ports"],
    ),
    (
        "nft flush map ip6 cni_hostport ports",
        &["8080/tcp", "ip6 cni_hostport"],
    ),
    (
        "nft flush map ip6 cni_hostport loopback",
        &["8080/tcp", "::1"],
    ),
    (
        "nft flush set ip cni_hostport pods",
        &["masquerade", "10.1.0.5"],
    ),
    (
        "nft flush set ip6 cni_hostport subnets64",
        &["masquerade", "fd00:1::5"],
    ),
    (
        "nft flush chain ip cni_hostport prerouting_maps",
        &["prerouting_maps"],
    ),
    (
        "nft flush chain ip6 cni_hostport output_maps",
        &["output_maps"],
    ),
    ("nft flush chain ip cni_hostport lookup", &["lookup"]),
    (
        "nft flush chain ip cni_hostport masquerading_maps",
        &["masquerading_maps"],
    ),
    ("nft flush chain ip cni_hostport localnet", &["localnet"]),
    ("nft delete table ip6 cni_hostport", &["8080/tcp"]),
    (
        "echo 0 > /proc/sys/net/ipv4/conf/br0/route_localnet",
        &["route_localnet", "br0"],
    ),
];

const IPTABLES: [Drift; 8] = [
    (
        "iptables -t raw -F CNI-HOSTPORT-LOCALNET",
        &["CNI-HOSTPORT-LOCALNET", "127.0.0.0/8"],
    ),
    (
        "iptables -t nat -F CNI-HOSTPORT-SETMARK",
        &["CNI-HOSTPORT-SETMARK"],
    ),
    (
        "iptables -t nat -F CNI-HOSTPORT-MASQ",
        &["CNI-HOSTPORT-MASQ"],
    ),
    ("iptables -t nat -F CNI-HOSTPORT-DNAT", &["CNI-DN-"]),
    ("iptables -t nat -F PREROUTING", &["PREROUTING"]),
    ("ip6tables -t nat -F OUTPUT", &["OUTPUT", "IPv6"]),
    ("ip6tables -t nat -F POSTROUTING", &["POSTROUTING", "IPv6"]),
    (
        "iptables -t raw -F PREROUTING",
        &["PREROUTING", "CNI-HOSTPORT-LOCALNET"],
    ),
];

fn each_drift_is_named(backend: &'static str, drifts: &[Drift]) {
    for (drift, words) in drifts {
        let Some(lab) = Lab::new(backend) else { return };
        let one = lab.attach("one", 5);
        let conf = lab.map(&one, tcp(8080, 80));
        lab.portmap
            .check(&conf, &one.result, &one.pod)
            .succeeds_silently();
        lab.host.sh(drift);
        let error = lab.portmap.check(&conf, &one.result, &one.pod).fails();
        error.names(words);
        // Another ADD heals what is shared.
        lab.map(&one, tcp(8080, 80));
        let healed = lab.portmap.check(&conf, &one.result, &one.pod);
        assert!(healed.is_success(), "{drift}\n{healed}");
        lab.portmap.del(&conf, &one.pod).succeeds_silently();
        assert_eq!(lab.traces(), "", "{drift}");
    }
}

#[test]
fn check_names_what_is_missing_in_nftables() {
    each_drift_is_named("nftables", &NFTABLES);
}

#[test]
fn check_names_what_is_missing_in_iptables() {
    each_drift_is_named("iptables", &IPTABLES);
}

#[test]
fn check_tells_who_has_the_port_now() {
    let Some(lab) = Lab::new("nftables") else {
        return;
    };
    let (one, two) = (lab.attach("one", 5), lab.attach("two", 6));
    let conf = lab.map(&one, tcp(8080, 80));
    lab.map(&two, tcp(8080, 80));
    let error = lab.portmap.check(&conf, &one.result, &one.pod).fails();
    error.names(&["8080/tcp", "another attachment", "id-of-two"]);
}

#[test]
fn check_needs_the_result() {
    let Some(lab) = Lab::new("nftables") else {
        return;
    };
    let one = lab.attach("one", 5);
    let mut conf = lab.map(&one, tcp(8080, 80));
    conf.as_object_mut().unwrap().remove("prevResult");
    let call = lab.portmap.call("CHECK", &conf).pod(&one.pod);
    call.run().fails_with(7).names(&["prevResult missing"]);
    assert_eq!(json!(null), lab.portmap.del(&conf, &one.pod).succeeds());
}
