//! One host, two implementations: Debian's Go plugin and ours; and upstream's newer nf_tables rules.

use crate::support::{GATEWAY, LOOPBACK, Lab, Server, Wired, tcp};
use netloom_testkit::{Plugin, Snapshot, Uplink};
use serde_json::{Value, json};

/// Versions that both speak and that have CHECK.
const VERSIONS: [&str; 2] = ["0.4.0", "1.0.0"];

/// The configuration in another version; Debian's release knows no `backend`.
fn conf(lab: &Lab, wired: &Wired, version: &str, keys: Value) -> Value {
    let mappings = json!([
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
        {"hostPort": 8081, "containerPort": 81, "protocol": "tcp", "hostIP": "198.51.100.2"},
        {"hostPort": 8053, "containerPort": 53, "protocol": "udp"},
        {"hostPort": 8054, "containerPort": 54, "protocol": "udp", "hostIP": "2001:db8:51::2"},
    ]);
    let mut conf = lab.conf(wired, mappings, keys);
    conf.as_object_mut().unwrap().remove("backend");
    conf["cniVersion"] = json!(version);
    conf["prevResult"]["cniVersion"] = json!(version);
    for ip in conf["prevResult"]["ips"].as_array_mut().unwrap() {
        let v6 = ip["address"].as_str().unwrap().contains(':');
        ip["version"] = json!(if v6 { "6" } else { "4" });
    }
    conf
}

fn options() -> Vec<Value> {
    vec![
        json!({}),
        json!({"snat": false}),
        json!({"markMasqBit": 5}),
        json!({"externalSetMarkChain": "CNI-HOSTPORT-SETMARK"}),
        json!({"conditionsV4": ["!", "-s", "192.0.2.0/24"], "conditionsV6": ["-s", "2001:db8::/32"]}),
    ]
}

/// Another container mapped by both, so that all that is shared is there before and after.
fn settle(lab: &Lab, go: &Plugin) -> Wired {
    let other = lab.wire("other", 9);
    for plugin in [go, &lab.portmap] {
        let mut conf = conf(lab, &other, "1.0.0", json!({"markMasqBit": 5}));
        conf["runtimeConfig"]["portMappings"] = tcp(9999, 80);
        plugin.add(&conf, &other.pod).succeeds();
        conf["markMasqBit"] = json!(13);
        plugin.add(&conf, &other.pod).succeeds();
    }
    other
}

#[test]
fn what_one_added_the_other_deletes_and_we_check() {
    let Some(lab) = Lab::new("iptables") else {
        return;
    };
    let Some(go) = Plugin::debian("portmap") else {
        return;
    };
    let uplink = lab.uplink();
    let other = settle(&lab, &go);
    let one = lab.wire("one", 5);
    let state = || Snapshot::take(&lab.host, &[&one.pod, &other.pod]).without_shared(&["br0"]);
    for version in VERSIONS {
        for keys in options() {
            for (adds, deletes) in [(&go, &lab.portmap), (&lab.portmap, &go)] {
                let conf = conf(&lab, &one, version, keys.clone());
                let before = state();
                adds.add(&conf, &one.pod).succeeds();
                let server = Server::in_pod(&one.pod, 80);
                let host = Uplink::HOST[0];
                assert!(
                    uplink.outside.run(|| server.reached(host, 8080)).is_some(),
                    "{keys}"
                );
                // Debian's release does not find its own rules in the other family.
                let call = lab.portmap.call("CHECK", &conf).pod(&one.pod);
                call.run().succeeds_silently();
                deletes.del(&conf, &one.pod).succeeds_silently();
                if std::ptr::eq(deletes, &go) {
                    // What leads from ::1, the reference does not know.
                    let mut gc = conf.clone();
                    gc.as_object_mut().unwrap().remove("prevResult");
                    gc["cniVersion"] = json!("1.1.0");
                    lab.portmap
                        .gc(&gc, &[("id-of-other", "eth0")])
                        .succeeds_silently();
                }
                state().assert_same_as(&before);
            }
        }
    }
}

#[test]
fn what_gos_del_leaves_of_the_way_from_ipv6_loopback_is_in_nobodys_way() {
    let Some(lab) = Lab::new("iptables") else {
        return;
    };
    let Some(go) = Plugin::debian("portmap") else {
        return;
    };
    let (one, two) = (lab.wire("one", 5), lab.wire("two", 6));
    let conf = conf(&lab, &one, "1.0.0", json!({}));
    let loopback = LOOPBACK[1];
    lab.portmap.add(&conf, &one.pod).succeeds();
    let mapped = Server::in_pod(&one.pod, 80);
    assert_eq!(mapped.reached(loopback, 8080), Some(GATEWAY[1]));
    go.del(&conf, &one.pod).succeeds_silently();
    assert!(lab.traces().contains("id-of-one"), "{}", lab.traces());
    let own = Server::here(8080);
    assert_eq!(own.reached(loopback, 8080), Some(loopback));
    drop(own);
    // The next one with the port takes it, and all goes with that.
    let taken = lab.map(&two, tcp(8080, 80));
    let mapped = Server::in_pod(&two.pod, 80);
    assert_eq!(mapped.reached(loopback, 8080), Some(GATEWAY[1]));
    lab.portmap.del(&taken, &two.pod).succeeds_silently();
    let mut gc = conf.clone();
    gc.as_object_mut().unwrap().remove("prevResult");
    gc["cniVersion"] = json!("1.1.0");
    lab.portmap.gc(&gc, &[]).succeeds_silently();
    assert_eq!(lab.traces(), "");
}

#[test]
fn what_go_added_is_whole_before_netloom_added_anybody() {
    let Some(lab) = Lab::new("iptables") else {
        return;
    };
    let Some(go) = Plugin::debian("portmap") else {
        return;
    };
    let one = lab.wire("one", 5);
    let conf = conf(&lab, &one, "1.0.0", json!({}));
    go.add(&conf, &one.pod).succeeds();
    let check = lab.portmap.call("CHECK", &conf).pod(&one.pod);
    check.run().succeeds_silently();
    // From then on there is a guard, which must stay.
    let two = lab.wire("two", 6);
    lab.map(&two, tcp(8090, 80));
    check.run().succeeds_silently();
    lab.host.sh("iptables -t raw -F CNI-HOSTPORT-LOCALNET");
    check.run().fails().names(&["CNI-HOSTPORT-LOCALNET"]);
}

#[test]
fn the_rules_are_those_of_the_reference() {
    let Some(lab) = Lab::new("iptables") else {
        return;
    };
    let Some(go) = Plugin::debian("portmap") else {
        return;
    };
    let one = lab.wire("one", 5);
    for keys in options()
        .into_iter()
        .filter(|keys| keys["externalSetMarkChain"].is_null())
    {
        let conf = conf(&lab, &one, "1.0.0", keys.clone());
        let rules = [&go, &lab.portmap].map(|plugin| {
            lab.host.sh(
                "iptables -t nat -F; iptables -t nat -X; ip6tables -t nat -F; ip6tables -t nat -X",
            );
            plugin.add(&conf, &one.pod).succeeds();
            let saved = lab.host.sh("iptables-save -t nat; ip6tables-save -t nat");
            let mut rules: Vec<String> = saved
                .lines()
                .filter(|line| line.starts_with("-A"))
                .map(str::to_owned)
                .collect();
            rules.sort();
            plugin.del(&conf, &one.pod).succeeds_silently();
            rules
        });
        assert_eq!(rules[0], rules[1], "{keys}");
    }
}

#[test]
fn rules_of_newer_references_in_the_same_table_are_checked_and_removed() {
    let Some(lab) = Lab::new("nftables") else {
        return;
    };
    let one = lab.wire("one", 5);
    // As the reference writes them from 1.6 on; Debian's is older.
    let script = "
        add table ip cni_hostport { comment \"CNI portmap plugin\" ; }
        add chain ip cni_hostport hostports
        add chain ip cni_hostport hostip_hostports
        add chain ip cni_hostport hostports_all
        add rule ip cni_hostport hostports_all jump hostip_hostports
        add rule ip cni_hostport hostports_all jump hostports
        add chain ip cni_hostport prerouting { type nat hook prerouting priority -100 ; }
        add rule ip cni_hostport prerouting fib daddr type local jump hostports_all
        add chain ip cni_hostport output { type nat hook output priority -100 ; }
        add rule ip cni_hostport output fib daddr type local jump hostports_all
        add chain ip cni_hostport masquerading { type nat hook postrouting priority 100 ; }
    ";
    lab.host.sh(&format!("nft -f - <<'EOF'\n{script}\nEOF"));
    let rules = |id: &str, port: u16| {
        lab.host.sh(&format!(
            "nft add rule ip cni_hostport hostports tcp dport {port} dnat to 10.1.0.5:80 comment '\"{id}\"'
             nft add rule ip cni_hostport masquerading ip saddr 10.1.0.5 ip daddr 10.1.0.5 masquerade \
             comment '\"{id}\"'"
        ));
    };
    let before = lab.host.sh("nft list table ip cni_hostport");
    rules("id-of-one", 8080);
    let v4 = json!({"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "0.0.0.0"});
    let conf = lab.conf(&one, json!([v4]), json!({}));
    lab.host
        .sh("echo 1 > /proc/sys/net/ipv4/conf/br0/route_localnet");
    lab.portmap
        .check(&conf, &one.result, &one.pod)
        .succeeds_silently();
    lab.portmap.del(&conf, &one.pod).succeeds_silently();
    assert_eq!(lab.host.sh("nft list table ip cni_hostport"), before);
    // Both side by side: each keeps working while the other comes and goes.
    rules("id-of-two", 8081);
    let conf = lab.map(&one, tcp(8080, 80));
    lab.host
        .sh("nft flush chain ip cni_hostport prerouting; nft flush chain ip cni_hostport output");
    let server = Server::in_pod(&one.pod, 80);
    let uplink = lab.uplink();
    let ours = uplink.outside.run(|| server.reached(Uplink::HOST[0], 8080));
    assert!(
        ours.is_some(),
        "the reference empties its base chains at every ADD"
    );
    lab.portmap.del(&conf, &one.pod).succeeds_silently();
    let left = lab.traces();
    assert!(
        left.contains("id-of-two") && !left.contains("id-of-one"),
        "{left}"
    );
}

#[test]
fn results_are_equal() {
    let Some(lab) = Lab::new("iptables") else {
        return;
    };
    let Some(go) = Plugin::debian("portmap") else {
        return;
    };
    let one = lab.wire("one", 5);
    for version in ["0.3.0", "0.3.1", "0.4.0", "1.0.0"] {
        let conf = conf(&lab, &one, version, json!({}));
        let results = [&go, &lab.portmap].map(|plugin| {
            let mut result = plugin.add(&conf, &one.pod).succeeds();
            plugin.del(&conf, &one.pod).succeeds_silently();
            let keys = result.as_object_mut().unwrap();
            // Debian's release prints an empty `dns` where newer ones print none, and knows no mtu.
            keys.retain(|key, value| key != "dns" || *value != json!({}));
            for interface in result["interfaces"].as_array_mut().unwrap() {
                interface.as_object_mut().unwrap().remove("mtu");
            }
            result
        });
        assert_eq!(results[0], results[1], "version {version}");
    }
}
