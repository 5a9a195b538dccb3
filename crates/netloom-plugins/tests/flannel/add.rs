//! What ADD makes.

use crate::lab::{DATA, DUAL, ENV, conf, lab, names, reserved, saved};
use netloom_testkit::{Trace, parallel};
use serde_json::{Value, json};
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;

#[test]
fn pods_get_addresses_of_the_host_s_subnet_and_reach_each_other_in_every_version() {
    for version in [
        "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0",
    ] {
        let Some(lab) = lab() else { return };
        let (one, two) = (lab.host.pod("one"), lab.host.pod("two"));
        for pod in [&one, &two] {
            // The addresses of lo come with its first going up, and stay.
            pod.sh("ip link set lo up; ip link set lo down");
        }
        let before = lab.snapshot(&[&one, &two]);
        let conf = conf(json!({"cniVersion": version}));
        let result = lab.flannel.add(&conf, &one).succeeds();
        lab.flannel.add(&conf, &two).succeeds();
        assert_eq!(result["cniVersion"], version);
        for target in [
            "10.244.3.1",
            "fd00:244:0:3::1",
            "10.244.3.3",
            "fd00:244:0:3::3",
        ] {
            let target: IpAddr = target.parse().unwrap();
            assert!(one.pings(target), "{version}: {target}");
        }
        assert!(one.ip("link show eth0").contains("mtu 1450"));
        assert!(
            one.ip("route")
                .contains("10.244.0.0/16 via 10.244.3.1 dev eth0")
        );
        assert!(
            one.ip("-6 route")
                .contains("fd00:244::/48 via fd00:244:0:3::1 dev eth0")
        );
        assert_eq!(reserved().len(), 4);
        if version >= "0.4.0" {
            lab.flannel.check(&conf, &result, &one).succeeds_silently();
        }
        for pod in [&one, &two] {
            lab.flannel.del(&conf, pod).succeeds_silently();
            lab.flannel.del(&conf, pod).succeeds_silently();
        }
        assert_eq!(names(DATA), [""; 0]);
        lab.snapshot(&[&one, &two]).assert_same_as(&before);
    }
}

#[test]
fn the_delegate_s_configuration_is_saved_for_the_owner_alone_under_the_container_s_id() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    lab.add(&pod);
    assert_eq!(names(DATA), ["id-of-one"]);
    let mode = |path: &str| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(DATA), mode(&format!("{DATA}/id-of-one"))),
        (0o700, 0o600)
    );
    assert_eq!(
        saved("id-of-one"),
        json!({
            "cniVersion": "1.1.0", "name": "cbr0", "type": "bridge", "isGateway": true,
            "ipMasq": false, "mtu": 1450, "io.netloom.ifName": "eth0",
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "10.244.3.0/24"}], [{"subnet": "fd00:244:0:3::/64"}]],
                "routes": [{"dst": "10.244.0.0/16"}, {"dst": "fd00:244::/48"}]
            }
        })
    );
}

#[test]
fn pods_are_masqueraded_by_the_delegate_if_flanneld_does_not() {
    for (by_flanneld, count) in [("true", 0), ("false", 1)] {
        let Some(lab) = lab() else { return };
        fs::write(
            ENV,
            DUAL.replace("IPMASQ=true", &format!("IPMASQ={by_flanneld}")),
        )
        .unwrap();
        let pod = lab.host.pod("one");
        let conf = conf(json!({"delegate": {"ipMasqBackend": "nftables"}}));
        lab.flannel.add(&conf, &pod).succeeds();
        let rules = lab.host.sh("nft list ruleset");
        assert_eq!(rules.matches("10.244.3.2").count().min(1), count, "{rules}");
    }
}

#[test]
fn the_delegate_and_its_ipam_may_say_more_and_get_what_the_runtime_says() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let conf = conf(json!({
        "delegate": {"bridge": "flan0", "mtu": 1400, "hairpinMode": true, "isDefaultGateway": true},
        "ipam": {"dataDir": "/run/pool", "routes": [{"dst": "172.20.0.0/16"}]},
        "runtimeConfig": {"mac": "02:00:00:00:00:09"}
    }));
    let result = lab.flannel.add(&conf, &pod).succeeds();
    assert_eq!(names("/run/pool/cbr0"), ["10.244.3.2", "fd00:244:0:3::2"]);
    let link = pod.ip("link show eth0");
    assert!(
        link.contains("mtu 1400") && link.contains("02:00:00:00:00:09"),
        "{link}"
    );
    let routes = pod.ip("route");
    assert!(routes.contains("default via 10.244.3.1") && routes.contains("172.20.0.0/16"));
    let port = result["interfaces"][1]["name"].as_str().unwrap();
    let port = lab.host.ip(&format!("-d link show {port}"));
    assert!(
        port.contains("master flan0") && port.contains("hairpin on"),
        "{port}"
    );
    lab.flannel.check(&conf, &result, &pod).succeeds_silently();
    // By then the configuration may have changed.
    lab.del(&pod).succeeds_silently();
    assert_eq!(names("/run/pool/cbr0"), [""; 0]);
}

#[test]
fn the_delegate_may_be_another_plugin() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let conf = conf(json!({"delegate": {"type": "ptp"}}));
    let result = lab.flannel.add(&conf, &pod).succeeds();
    assert!(pod.pings([10, 244, 3, 1]));
    assert_eq!(saved("id-of-one")["isGateway"], Value::Null);
    lab.flannel.check(&conf, &result, &pod).succeeds_silently();
    lab.del(&pod).succeeds_silently();
    assert_eq!(reserved(), [""; 0]);
}

#[test]
fn two_interfaces_of_a_container_and_two_networks_do_not_disturb_each_other() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let before = lab.snapshot(&[&pod]);
    let other = conf(json!({"name": "cbr1", "delegate": {"bridge": "flan1"}}));
    let calls = [
        ("eth0", &conf(json!({}))),
        ("net1", &conf(json!({}))),
        ("net2", &other),
    ];
    for (if_name, conf) in calls {
        lab.call("ADD", &pod, if_name, conf).run().succeeds();
    }
    assert_eq!(
        names(DATA),
        ["id-of-one", "id-of-one:net1", "id-of-one:net2"]
    );
    assert_eq!(saved("id-of-one:net2")["name"], "cbr1");
    let crossed = lab.call("DEL", &pod, "eth0", &other);
    crossed.run().succeeds_silently();
    assert_eq!(reserved().len(), 4);
    lab.call("DEL", &pod, "eth0", calls[0].1)
        .run()
        .succeeds_silently();
    assert_eq!(names(DATA), ["id-of-one:net1", "id-of-one:net2"]);
    assert_eq!(reserved(), ["10.244.3.3", "fd00:244:0:3::3"]);
    // The first name is free again.
    lab.call("ADD", &pod, "eth0", calls[0].1).run().succeeds();
    assert_eq!(saved("id-of-one")["io.netloom.ifName"], "eth0");
    for (if_name, conf) in calls {
        lab.call("DEL", &pod, if_name, conf)
            .run()
            .succeeds_silently();
    }
    assert_eq!(names(DATA), [""; 0]);
    let shared = |s: netloom_testkit::Snapshot| s.without_shared(&["cni0", "flan1"]);
    pod.ip("link set lo down");
    let after = shared(lab.snapshot(&[&pod]));
    let difference = after.difference_from(&shared(before)).to_string();
    let lo_alone = difference
        .lines()
        .all(|line| line.contains(" lo") || line.contains("127."));
    assert!(lo_alone || difference.is_empty(), "{difference}");
}

#[test]
fn interfaces_that_are_added_at_the_same_time_each_have_their_file() {
    for _ in 0..5 {
        let Some(lab) = lab() else { return };
        let pod = lab.host.pod("one");
        let interfaces = ["eth0", "net1"];
        let calls = interfaces.map(|name| lab.call("ADD", &pod, name, &conf(json!({}))));
        for outcome in parallel(2, 2, |index| calls[index].run()) {
            outcome.succeeds();
        }
        assert_eq!(names(DATA).len(), 2);
        for name in interfaces {
            let del = lab.call("DEL", &pod, name, &conf(json!({})));
            del.run().succeeds_silently();
        }
        assert_eq!((reserved().len(), names(DATA).len()), (0, 0));
    }
}

#[test]
fn an_add_that_the_delegate_refuses_leaves_no_file() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let before = lab.snapshot(&[&pod]);
    let request = conf(json!({"delegate": {"vlan": 4999}}));
    lab.flannel
        .add(&request, &pod)
        .fails_with(7)
        .names(&["4999"]);
    assert_eq!(names(DATA), [""; 0]);
    lab.snapshot(&[&pod]).assert_same_as(&before);
    let missing = conf(json!({"delegate": {"type": "nosuch"}}));
    lab.flannel.add(&missing, &pod).fails().names(&["nosuch"]);
    lab.snapshot(&[&pod]).assert_same_as(&before);
}

#[test]
fn a_delegate_that_cannot_clean_up_either_keeps_its_file_for_the_next_del() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let error = r#"echo '{"cniVersion": "1.1.0", "code": 100, "msg": "no"}'"#;
    lab.install("broken", &format!("{error}; exit 1\n"));
    let conf = conf(json!({"delegate": {"type": "broken"}}));
    let told = lab.flannel.add(&conf, &pod).fails_with(100);
    told.names(&["no", "clean-up failed"]);
    assert_eq!(names(DATA), ["id-of-one"]);
    lab.flannel.del(&conf, &pod).fails_with(100);
    assert_eq!(
        names(DATA),
        ["id-of-one"],
        "the reference removes it all the same"
    );
    lab.install("broken", "exit 0\n");
    lab.flannel.del(&conf, &pod).succeeds_silently();
    assert_eq!(names(DATA), [""; 0]);
}

#[test]
fn nothing_is_executed_and_nobody_sleeps_where_the_delegate_is_ours() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let result = lab.add(&pod);
    lab.del(&pod).succeeds_silently();
    let mut request = conf(json!({}));
    request["prevResult"] = result;
    for command in ["ADD", "CHECK", "DEL"] {
        let Some(trace) = Trace::of(&lab.call(command, &pod, "eth0", &request)) else {
            return;
        };
        if command == "CHECK" {
            // The veth has another name by now.
            assert_eq!(trace.executions().len(), 0);
            continue;
        }
        assert!(trace.outcome.is_success(), "{}", trace.outcome);
        assert!(
            trace.executions().is_empty(),
            "{command}: {:?}",
            trace.executions()
        );
        assert!(trace.sleeps().is_empty(), "{command}: {:?}", trace.sleeps());
        let flushed = trace.count("fdatasync") + trace.count("fsync");
        assert_eq!(flushed, usize::from(command == "ADD"), "{command}");
    }
}
