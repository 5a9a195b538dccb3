//! GC and STATUS.

use crate::support::{BOTH, Lab, conf, result};
use serde_json::{Value, json};

fn conf_of(backend: &str, last: u8, network: &str) -> Value {
    conf(
        backend,
        &result(last),
        json!({"cniVersion": "1.1.0", "name": network}),
    )
}

#[test]
fn gc_leaves_what_is_valid_and_what_is_of_other_networks() {
    for backend in BOTH {
        let Some(lab) = Lab::with(backend) else {
            continue;
        };
        for (name, last, network) in [("lost", 5, "net"), ("kept", 6, "net"), ("other", 7, "net2")]
        {
            let pod = lab.host.pod(name);
            lab.firewall
                .add(&conf_of(backend, last, network), &pod)
                .succeeds();
            pod.remove();
        }
        let conf = conf_of(backend, 5, "net");
        let gc = |valid: &[(&str, &str)]| {
            lab.firewall.gc(&conf, valid).succeeds_silently();
            lab.traces()
        };
        // No list is no permission.
        let mut without = conf.clone();
        without.as_object_mut().unwrap().remove("prevResult");
        let _ = lab.firewall.call("GC", &without).run();
        assert!(lab.traces().contains("10.1.0.5"));
        for _ in 0..2 {
            let left = gc(&[("id-of-kept", "eth0"), ("id-of-lost", "net1")]);
            assert!(
                !left.contains("10.1.0.5") && !left.contains("id-of-lost"),
                "{backend}: {left}"
            );
            assert!(
                left.contains("10.1.0.6") && left.contains("10.1.0.7"),
                "{backend}: {left}"
            );
        }
        let left = gc(&[]);
        assert!(
            !left.contains("10.1.0.6") && !left.contains("fd00:1::6"),
            "{backend}: {left}"
        );
        assert!(
            left.contains("10.1.0.7") && left.contains("fd00:1::7"),
            "{backend}: {left}"
        );
        if backend == "nftables" {
            let table = lab.host.sh("nft list table inet cni_plugins_firewall");
            assert_eq!(
                table.matches("set pods").count(),
                2,
                "empty sets went: {table}"
            );
        }
    }
}

#[test]
fn gc_forgets_bridges_of_the_network_that_are_gone() {
    let Some(lab) = Lab::with("nftables") else {
        return;
    };
    let pod = lab.host.pod("one");
    lab.host
        .sh("ip link add br0 type bridge; ip link add br1 type bridge");
    for (bridge, network) in [
        ("br0", "net"),
        ("br1", "net"),
        ("gone", "net"),
        ("away", "net2"),
    ] {
        let mut given = result(5);
        given["interfaces"][0]["name"] = json!(bridge);
        let keys = json!({"cniVersion": "1.1.0", "name": network, "ingressPolicy": "isolated"});
        lab.firewall
            .add(&conf("nftables", &given, keys), &pod)
            .succeeds();
    }
    lab.firewall
        .gc(&conf_of("nftables", 5, "net"), &[])
        .succeeds_silently();
    let table = lab.host.sh("nft list table inet cni_plugins_firewall");
    for (name, times) in [
        ("\"br0\"", 5),
        ("\"br1\"", 5),
        ("\"gone\"", 0),
        ("\"away\"", 5),
    ] {
        assert_eq!(table.matches(name).count(), times, "{name}: {table}");
    }
}

#[test]
fn status_is_50_without_the_packet_filter_that_is_asked_for() {
    let Some(lab) = Lab::with("nftables") else {
        return;
    };
    let status = |backend: &str, path: Option<&str>| {
        let mut conf = conf_of(backend, 5, "net");
        conf.as_object_mut().unwrap().remove("prevResult");
        let call = lab.firewall.call("STATUS", &conf);
        let call = call.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere");
        match path {
            Some(path) => call.env("PATH", path).run(),
            None => call.run(),
        }
    };
    status("nftables", Some("/nowhere")).succeeds_silently();
    status("", Some("/nowhere")).succeeds_silently();
    status("iptables", Some("/nowhere"))
        .fails_with(50)
        .names(&["iptables-restore", "PATH"]);
    status("firewalld", None)
        .fails_with(50)
        .names(&["firewalld", "bus"]);
    status("pf", None).fails_with(7).names(&["backend", "pf"]);
}

/// Go's DEL takes a copy of the rules away, and leaves the chain that tells whose they were.
#[test]
fn two_dead_pods_of_one_address_do_not_keep_its_last_rules_for_each_other() {
    let Some(lab) = Lab::with("iptables") else {
        return;
    };
    let conf = conf_of("iptables", 5, "net");
    for name in ["one", "two"] {
        let pod = lab.host.pod(name);
        lab.firewall.add(&conf, &pod).succeeds();
        pod.remove();
    }
    lab.host.sh(
        "iptables -D CNI-FORWARD -d 10.1.0.5 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
         iptables -D CNI-FORWARD -s 10.1.0.5 -j ACCEPT",
    );
    lab.firewall.gc(&conf, &[]).succeeds_silently();
    let left = lab.traces();
    assert!(
        !left.contains("10.1.0.5") && !left.contains("fd00:1::5"),
        "{left}"
    );
}
