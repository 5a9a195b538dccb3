//! What has no end in place of a file, and locks that are kept: every call ends all the same.

use crate::PROGRAM;
use netloom_testkit::{Host, Outcome, Plugin, PluginDir, Pod};
use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::time::{Duration, Instant};

/// Stands in for what hangs: `timeout` ends it.
const LIMIT: [&str; 1] = ["10"];
const BRIDGE: &str = "bridge";

/// What may be in the place of a file.
const ENDLESS: [(&str, &str); 2] = [("a fifo", "mkfifo"), ("a device", "mknod -m 666")];

fn put(host: &Host, what: usize, path: &str) {
    let (_, command) = ENDLESS[what];
    let device = if what == 1 { "c 1 5" } else { "" };
    host.sh(&format!(
        "rm -f {path}; mkdir -p $(dirname {path}); {command} {path} {device}"
    ));
}

fn call(plugin: &Plugin, command: &str, conf: &Value, pod: &Pod) -> Outcome {
    plugin
        .call(command, conf)
        .pod(pod)
        .under("timeout", &LIMIT)
        .run()
}

fn wired(ipam: Value) -> Value {
    json!({"cniVersion": "1.1.0", "name": "blue", "type": BRIDGE, "bridge": "br0", "ipam": ipam})
}

#[test]
fn what_is_no_regular_file_is_refused_wherever_one_is_read() {
    let plugins = PluginDir::of(PROGRAM);
    for (what, (name, _)) in ENDLESS.iter().enumerate() {
        let Some(host) = Host::new() else { return };
        let pod = host.pod("one");
        let refused = |plugin: &str, command: &str, conf: &Value, path: &str| {
            put(&host, what, path);
            let outcome = call(&Plugin::ours(&plugins, plugin), command, conf, &pod);
            outcome.fails().names(&[path, "regular file"]);
        };
        let pool = json!({"type": "host-local", "subnet": "10.1.0.0/24"});
        let mut resolv = pool.clone();
        resolv["resolvConf"] = json!("/run/resolv.conf");
        refused(BRIDGE, "ADD", &wired(resolv), "/run/resolv.conf");
        let flannel = json!({"cniVersion": "1.0.0", "name": "blue", "type": "flannel",
                             "subnetFile": "/run/subnet.env", "delegate": {}});
        refused("flannel", "ADD", &flannel, "/run/subnet.env");
        let lock = "/var/lib/cni/networks/blue/lock";
        for command in ["ADD", "DEL"] {
            refused(BRIDGE, command, &wired(pool.clone()), lock);
        }
        fs::remove_file(lock).unwrap();
        let list = "/etc/cni/tuning/allowlist.conf";
        let tuning = json!({"cniVersion": "1.0.0", "name": "blue", "type": "tuning",
                            "sysctl": {"net.core.somaxconn": "512"}, "prevResult": {}});
        refused("tuning", "ADD", &tuning, list);
        fs::remove_file(list).unwrap();
        // A reservation, and what was before the change of a link: it says nothing.
        put(&host, what, "/var/lib/cni/networks/blue/10.1.0.9");
        put(&host, what, "/run/cni/tuning/id-of-one_eth0.json");
        let (bridge, made) = (Plugin::ours(&plugins, BRIDGE), wired(pool));
        let result = call(&bridge, "ADD", &made, &pod).succeeds();
        let mut chained = tuning;
        chained["prevResult"] = result;
        call(&Plugin::ours(&plugins, "tuning"), "DEL", &chained, &pod).succeeds();
        let del = call(&bridge, "DEL", &made, &pod);
        assert!(del.is_success(), "{name}: {del}");
    }
}

/// Debug tells stderr what it cannot write to its file, and the call goes on.
#[test]
fn a_record_that_nobody_reads_keeps_no_call() {
    let Some(host) = Host::new() else { return };
    let (plugins, pod) = (PluginDir::of(PROGRAM), host.pod("one"));
    put(&host, 0, "/run/record");
    let conf = json!({"cniVersion": "1.0.0", "name": "blue", "type": "debug",
                      "cniOutput": "/run/record", "prevResult": {}});
    for command in ["ADD", "CHECK", "DEL"] {
        let outcome = call(&Plugin::ours(&plugins, "debug"), command, &conf, &pod);
        assert!(outcome.is_success(), "{outcome}");
        assert!(outcome.stderr.contains("/run/record"), "{outcome}");
    }
}

/// The clean-up of an ADD that could not have the lock does not wait for the same lock again.
#[test]
fn a_lock_that_is_held_costs_a_call_its_time_once() {
    let Some(host) = Host::new() else { return };
    let (plugins, pod) = (PluginDir::of(PROGRAM), host.pod("one"));
    let directory = "/var/lib/cni/networks/blue";
    fs::create_dir_all(directory).unwrap();
    let held = File::create(format!("{directory}/lock")).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    let conf = wired(json!({"type": "host-local", "subnet": "10.1.0.0/24"}));
    let begun = Instant::now();
    let add = Plugin::ours(&plugins, BRIDGE).add(&conf, &pod);
    add.fails_with(11).names(&["lock", "held"]);
    let took = begun.elapsed();
    assert!(
        took > Duration::from_secs(29) && took < Duration::from_secs(45),
        "{took:?}"
    );
}

/// Whoever is in the pod can keep the lock of its namespace.
#[test]
fn a_lock_that_the_pod_keeps_does_not_keep_the_pod() {
    let Some(host) = Host::new() else { return };
    let (plugins, pod) = (PluginDir::of(PROGRAM), host.pod("one"));
    pod.ip("link add eth0 type veth peer name peer0");
    pod.sh("ip addr add 10.1.0.5/24 dev eth0; ip link set eth0 up");
    let sbr = Plugin::ours(&plugins, "sbr");
    let conf = json!({"cniVersion": "1.0.0", "name": "blue", "type": "sbr", "prevResult": {
        "cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": pod.path()}],
        "ips": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1", "interface": 0}]}});
    let kept = pod.netns();
    flock(&kept, FlockOperation::LockExclusive).unwrap();
    for command in ["ADD", "DEL"] {
        call(&sbr, command, &conf, &pod).succeeds();
    }
    assert!(!pod.ip("rule").contains("10.1.0.5"), "{}", pod.ip("rule"));
}

#[test]
fn vrf_does_not_wait_for_such_a_lock_either() {
    if !netloom_testkit::probe::has_link_kind("vrf") {
        return netloom_testkit::skip("the kernel has no vrf links");
    }
    let Some(host) = Host::new() else { return };
    let (plugins, pod) = (PluginDir::of(PROGRAM), host.pod("one"));
    pod.ip("link add eth0 type veth peer name peer0");
    pod.sh("ip addr add 10.1.0.5/24 dev eth0; ip link set eth0 up");
    let vrf = Plugin::ours(&plugins, "vrf");
    let conf = json!({"cniVersion": "1.0.0", "name": "blue", "type": "vrf", "vrfname": "red",
        "prevResult": {"cniVersion": "1.0.0",
            "interfaces": [{"name": "eth0", "sandbox": pod.path()}],
            "ips": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1", "interface": 0}]}});
    let kept = pod.netns();
    flock(&kept, FlockOperation::LockExclusive).unwrap();
    for command in ["ADD", "DEL"] {
        call(&vrf, command, &conf, &pod).succeeds();
    }
    assert!(
        !pod.ip("-br link").contains("red"),
        "{}",
        pod.ip("-br link")
    );
}

/// A runtime names as namespace what somebody else made.
#[test]
fn what_is_no_regular_file_is_no_namespace() {
    let plugins = PluginDir::of(PROGRAM);
    let Some(host) = Host::new() else { return };
    let path = "/run/netns/endless";
    for what in 0..ENDLESS.len() {
        put(&host, what, path);
        for name in ["bridge", "ptp", "macvlan", "tap", "loopback", "host-device"] {
            let conf = json!({"cniVersion": "1.0.0", "name": "blue", "type": name, "bridge": "br0",
                "device": "lo", "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}});
            let call = |command: &str| {
                let call = Plugin::ours(&plugins, name).call(command, &conf);
                let call = call.env("CNI_NETNS", path).env("CNI_IFNAME", "eth0");
                let call = call.env("CNI_CONTAINERID", "id-of-one");
                call.under("timeout", &LIMIT).run()
            };
            let error = call("ADD").fails();
            assert!(error.code != 0, "{name}");
            let del = call("DEL");
            assert!(del.is_success(), "{name}: {del}");
        }
    }
    assert!(!host.ip("-br link").contains("br0"), "nothing was made");
}
