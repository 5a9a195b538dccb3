//! What the first ratchet's configurations and labels do here, and each of its defects R1 to R7.

use crate::lab::{args, files, has, lab, with};
use netloom_testkit::{Host, Pod, Trace};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// The first ratchet's own configuration, in its keys, with bridge in flannel's place.
fn first(annotations: Value) -> Value {
    json!({
        "name": "net", "type": "ratchet", "cniVersion": "0.3.1",
        "etcd_host": "localhost", "etcd_port": "5656",
        "child_path": "/opt/cni/bin/ratchet-child", "use_labels": true,
        "parent_interface": "eth0", "parent_address": "192.168.1.224",
        "delegate": {
            "type": "bridge", "isGateway": true,
            "ipam": {"type": "host-local", "subnet": "10.9.0.0/16"}
        },
        "boot_network": {"type": "loopback"},
        "runtimeConfig": {"io.kubernetes.cri.pod-annotations": annotations}
    })
}

fn labels(name: &str, pair: &str, more: &[(&str, &str)]) -> Value {
    let mut labels = json!({
        "ratchet": "true", "ratchet.pod_name": name, "ratchet.primary": "true",
        "ratchet.local_ip": "192.168.2.100", "ratchet.local_ifname": "in1",
        "ratchet.pair_name": pair, "ratchet.pair_ip": "192.168.2.101", "ratchet.pair_ifname": "in2"
    });
    for (key, value) in more {
        labels[*key] = json!(value);
    }
    labels
}

fn pair_labels(name: &str) -> Value {
    json!({"ratchet": "true", "ratchet.pod_name": name, "ratchet.primary": "false"})
}

fn pods(host: &Host) -> (Pod, Pod) {
    (host.pod("primary"), host.pod("pair"))
}

#[test]
fn an_old_configuration_attaches_by_the_boot_network_and_links() {
    // The first ratchet's own examples tell no version, which is 0.1.0.
    for version in [None, Some("0.2.0"), Some("0.3.1")] {
        let Some(lab) = lab() else { return };
        let before = lab.snapshot(&[]);
        let (one, two) = pods(&lab.host);
        let mut confs = [
            first(labels("primary", "pair", &[])),
            first(pair_labels("pair")),
        ];
        for conf in &mut confs {
            let conf = conf.as_object_mut().unwrap();
            conf.remove("cniVersion");
            conf.extend(version.map(|it| ("cniVersion".to_owned(), json!(it))));
        }
        let outcome = lab.call("ADD", &one, &confs[0]).run();
        outcome.succeeds();
        for key in ["etcd_host", "parent_address", "use_labels", "child_path"] {
            assert!(outcome.stderr.contains(key), "{outcome}");
        }
        lab.add(&two, &confs[1]);
        assert!(one.pings([192, 168, 2, 101]));
        // By the boot network, and so not by bridge.
        assert!(one.ip("link show lo").contains("UP") && !has(&one, "eth0"));
        lab.del(&one, &confs[0]);
        lab.del(&two, &confs[1]);
        assert_eq!(files(), [""; 0]);
        drop((one, two));
        lab.assert_same(&before, &[]);
    }
}

#[test]
fn a_pod_without_the_mark_is_attached_by_the_delegate_alone_whatever_the_boot_network() {
    for annotations in [
        json!({}),
        json!({"ratchet": "false", "ratchet.primary": "true"}),
    ] {
        let Some(lab) = lab() else { return };
        let before = lab.snapshot(&[]);
        let pod = lab.host.pod("one");
        let mut conf = first(annotations);
        let result = lab.add(&pod, &conf);
        assert!(has(&pod, "eth0"));
        assert!(
            result["ips"][0]["address"]
                .as_str()
                .unwrap()
                .starts_with("10.9.")
        );
        // The first one refused this, although it had no use for a boot network then.
        conf.as_object_mut().unwrap().remove("boot_network");
        let other = lab.host.pod("other");
        lab.add(&other, &conf);
        for pod in [&pod, &other] {
            lab.del(pod, &conf);
            assert!(!has(pod, "eth0"));
        }
        drop((pod, other));
        assert_eq!(files(), [""; 0]);
        lab.assert_same(&before, &[]);
    }
}

/// R1: labels went through a root shell.
#[test]
fn r1_a_value_with_a_command_in_it_runs_nothing() {
    const COMMAND: &str = "\"; touch /tmp/x-of-ratchet; echo \"";
    let made = Path::new("/tmp/x-of-ratchet");
    let keys = [
        "ratchet",
        "ratchet.pod_name",
        "ratchet.target_pod",
        "ratchet.target_container",
        "ratchet.public_ip",
        "ratchet.local_ip",
        "ratchet.local_ifname",
        "ratchet.pair_name",
        "ratchet.pair_ip",
        "ratchet.pair_ifname",
        "ratchet.primary",
        "netloom.dev/links",
    ];
    let Some(lab) = lab() else { return };
    for key in keys {
        let pod = lab.host.pod("primary");
        let conf = with(
            json!({"runtimeConfig": {"io.kubernetes.cri.pod-annotations":
            labels("primary", "pair", &[(key, COMMAND)])}}),
        );
        let call = lab.call("ADD", &pod, &conf);
        let Some(trace) = Trace::of(&call) else {
            return;
        };
        assert!(
            trace.executions().is_empty(),
            "{key}: {:?}",
            trace.executions()
        );
        if !trace.outcome.is_success() {
            assert_eq!(
                trace.outcome.fails().code,
                if key.contains("dev/") { 6 } else { 7 }
            );
        }
        lab.del(&pod, &conf);
        assert!(!made.exists(), "{key}");
    }
}

/// R2: what was kept of a dead pod was linked to.
#[test]
fn r2_a_record_of_a_dead_pod_is_never_linked_to() {
    let Some(lab) = lab() else { return };
    let (one, two) = pods(&lab.host);
    let confs = [crate::lab::primary(), crate::lab::pair()];
    lab.add(&two, &confs[1]);
    // Its namespace goes, and another pod's comes to the same path. Nobody calls DEL.
    two.remove();
    let stranger = lab.host.pod("pair");
    let seen = stranger.ip("link");
    lab.add(&one, &confs[0]);
    assert!(!has(&one, "in1"), "{}", one.ip("link"));
    assert_eq!(stranger.ip("link"), seen);
    // The same with what would be right in a former run of the kernel.
    let record = format!("{}/id-of-pair:eth0", crate::lab::STORE);
    lab.call_as("ADD", &stranger, "pair", &confs[1])
        .run()
        .succeeds();
    assert!(has(&one, "in1"));
    lab.del(&one, &confs[0]);
    let mut kept: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    kept["boot"] = json!("another");
    fs::write(&record, kept.to_string()).unwrap();
    lab.add(&one, &confs[0]);
    assert!(!has(&one, "in1") && !has(&stranger, "in2"));
}

/// R3: two that came at once got one number for their vxlan.
#[test]
fn r3_the_number_of_a_tunnel_follows_from_its_link_and_needs_no_counter() {
    let Some(lab) = lab() else { return };
    crate::tunnel::uplink(&lab.host);
    let numbers = ["one", "two"].map(|name| {
        let pod = lab.host.pod(name);
        let conf = crate::tunnel::conf(name);
        let added = || lab.call("ADD", &pod, &conf).run().succeeds();
        added();
        let first = crate::tunnel::number(&pod, "in1");
        lab.del(&pod, &conf);
        added();
        assert_eq!(crate::tunnel::number(&pod, "in1"), first);
        first
    });
    assert_ne!(numbers[0], numbers[1]);
}

/// R4: it wrote a log to a fixed path that everybody can write to.
#[test]
fn r4_no_file_is_opened_outside_the_store_and_proc() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("primary");
    let Some(trace) = Trace::of(&lab.call("ADD", &pod, &crate::lab::primary())) else {
        return;
    };
    trace.outcome.succeeds();
    for call in trace
        .calls
        .iter()
        .filter(|call| call.text.contains("O_CREAT"))
    {
        assert!(
            call.text.contains("/var/lib/cni/netloom/ratchet/"),
            "{call:?}"
        );
    }
    assert!(
        !trace
            .calls
            .iter()
            .any(|call| call.text.contains("\"/tmp/ratchet"))
    );
}

/// R5: pods of two Kubernetes namespaces with one name were taken for one.
#[test]
fn r5_pods_of_one_name_in_two_kubernetes_namespaces_are_two() {
    let Some(lab) = lab() else { return };
    let (one, two) = pods(&lab.host);
    let conf = |annotations: Value| {
        with(json!({"runtimeConfig": {"io.kubernetes.cri.pod-annotations": annotations}}))
    };
    let elsewhere = args("pair").replace("=default", "=blue");
    lab.call("ADD", &two, &conf(pair_labels("pair")))
        .env("CNI_ARGS", &elsewhere)
        .run()
        .succeeds();
    lab.add(&one, &conf(labels("primary", "pair", &[])));
    assert!(!has(&one, "in1") && !has(&two, "in2"));
    // Nor may one be linked by naming it, unless it agrees.
    lab.del(&one, &conf(labels("primary", "pair", &[])));
    lab.add(&one, &conf(labels("primary", "blue/pair", &[])));
    assert!(!has(&one, "in1") && !has(&two, "in2"));
}

/// R6: what etcd kept of pods never went.
#[test]
fn r6_nothing_outlives_its_pod_and_no_connection_is_opened() {
    let Some(lab) = lab() else { return };
    let (one, two) = pods(&lab.host);
    let confs = [
        first(labels("primary", "pair", &[])),
        first(pair_labels("pair")),
    ];
    let Some(trace) = Trace::of(&lab.call("ADD", &one, &confs[0])) else {
        return;
    };
    trace.outcome.succeeds();
    let sockets = trace.calls.iter().filter(|call| call.name == "socket");
    for socket in sockets {
        assert!(socket.text.starts_with("AF_NETLINK"), "{socket:?}");
    }
    lab.add(&two, &confs[1]);
    lab.del(&one, &confs[0]);
    lab.del(&two, &confs[1]);
    assert_eq!(files(), [""; 0]);
}

/// R7: its delegates got neither the network's name nor a version.
#[test]
fn r7_a_delegate_gets_name_and_version_and_its_del_what_add_had() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let conf = first(json!({}));
    let result = lab.add(&pod, &conf);
    assert_eq!(result["cniVersion"], "0.3.1");
    // host-local keeps addresses by the network's name.
    let address = result["ips"][0]["address"].as_str().unwrap();
    let address = address.split('/').next().unwrap();
    let kept = format!("/var/lib/cni/networks/net/{address}");
    assert!(Path::new(&kept).exists());
    // Meanwhile somebody changes the configuration.
    let mut changed = conf.clone();
    changed["delegate"] = json!({"type": "loopback"});
    lab.del(&pod, &changed);
    assert!(!Path::new(&kept).exists() && !has(&pod, "eth0"));
}
