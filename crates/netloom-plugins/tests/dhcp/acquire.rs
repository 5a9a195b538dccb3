//! Leases come, are renewed, and go.

use crate::lan::{Lan, address, conf, configure};
use crate::running::{LEASES, Running};
use netloom_testkit::{Host, Plugin, PluginDir, parallel};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_netloom-plugins");

#[test]
fn a_lease_is_in_the_servers_file_from_add_to_del() {
    let Some(host) = Host::new() else { return };
    let options = [
        "--dhcp-option=option:dns-server,10.7.0.1,9.9.9.9",
        "--domain=example.org",
        "--dhcp-option=option:domain-search,a.example.org,b.example.org",
        "--dhcp-option=option:mtu,1400",
    ];
    let Some(lan) = Lan::served(&host, &options) else {
        return;
    };
    let (pod, bin) = (lan.pod("one"), PluginDir::of(PROGRAM));
    let daemon = Running::start(&bin, &[]);
    let dhcp = Plugin::ours(&bin, "dhcp");
    let conf = conf(&json!({"priority": 7, "provide": [{"option": "host-name", "value": "web"}]}));

    let result = dhcp.add(&conf, &pod).succeeds();
    let expected = json!({
        "cniVersion": "1.1.0",
        "ips": [{"address": result["ips"][0]["address"], "gateway": "10.7.0.1"}],
        "routes": [{"dst": "0.0.0.0/0", "gw": "10.7.0.1", "mtu": 1400, "priority": 7}],
        "dns": {
            "nameservers": ["10.7.0.1", "9.9.9.9"],
            "domain": "example.org",
            "search": ["a.example.org", "b.example.org"],
        },
    });
    assert_eq!(result, expected);
    let ip = address(&result);
    assert!(ip.starts_with("10.7.1."));
    let [lease] = lan.leases().try_into().unwrap();
    assert!(lease.contains(&format!("{ip} web 00:")), "{lease}");
    let client_id: String = "id-of-one/net/eth0"
        .bytes()
        .map(|b| format!(":{b:02x}"))
        .collect();
    assert!(lease.ends_with(&client_id), "{lease}");

    configure(&pod, &result);
    assert!(pod.pings([10, 7, 0, 1]));
    dhcp.check(&conf, &result, &pod).succeeds_silently();
    assert_eq!(
        dhcp.add(&conf, &pod).succeeds(),
        result,
        "the lease there is"
    );
    let mut foreign = result.clone();
    foreign["ips"][0]["address"] = json!("10.7.9.9/16");
    let error = dhcp.check(&conf, &foreign, &pod).fails();
    error.names(&[&ip, "10.7.9.9/16"]);

    for _ in 0..2 {
        dhcp.del(&conf, &pod).succeeds_silently();
        wait_until("the lease to go", || lan.leases().is_empty());
    }
    let error = dhcp.check(&conf, &result, &pod).fails();
    error.names(&["no lease for id-of-one/net/eth0"]);
    assert!(lan.leases().is_empty(), "CHECK acquires nothing");
    assert_eq!(daemon.threads(), 1);
}

/// dnsmasq reads what was sent in its own time.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn classless_routes_stand_for_all_others() {
    let Some(host) = Host::new() else { return };
    let option = "--dhcp-option=121,10.9.0.0/16,10.7.0.2,10.8.0.0/24,0.0.0.0";
    let Some(lan) = Lan::served(&host, &[option]) else {
        return;
    };
    let (pod, bin) = (lan.pod("one"), PluginDir::of(PROGRAM));
    let _daemon = Running::start(&bin, &[]);
    let dhcp = Plugin::ours(&bin, "dhcp");
    let result = dhcp.add(&conf(&json!({})), &pod).succeeds();
    let routes = json!([
        {"dst": "10.9.0.0/16", "gw": "10.7.0.2"},
        {"dst": "10.8.0.0/24", "gw": "0.0.0.0", "scope": 253},
    ]);
    assert_eq!(result["routes"], routes);
    let pod = lan.pod("two");
    let few = conf(&json!({"request": [{"option": "subnet-mask"}, {"skipDefault": true}]}));
    let result = dhcp.add(&few, &pod).succeeds();
    assert_eq!(result.get("routes"), None, "{result}");
    assert_eq!(result.get("dns"), None, "{result}");
}

#[test]
fn a_lease_is_renewed_at_t1_from_its_own_address() {
    let Some(host) = Host::new() else { return };
    let Some(lan) = Lan::served(&host, &["--dhcp-option=option:T1,3"]) else {
        return;
    };
    let (pod, bin) = (lan.pod("one"), PluginDir::of(PROGRAM));
    let daemon = Running::start(&bin, &[]);
    let result = Plugin::ours(&bin, "dhcp")
        .add(&conf(&json!({})), &pod)
        .succeeds();
    configure(&pod, &result);
    let ip = address(&result);
    let (first, idle) = (lan.expiry(&ip).unwrap(), daemon.descriptors());
    let capture = Path::new("/usr/bin/tcpdump").exists().then(|| {
        // Its packets go where the log of a daemon is.
        let line = "exec tcpdump -l -n -i br0 udp and dst port 67 >&2";
        let capture = Running::spawn(Command::new("sh").args(["-c", line]));
        capture.wait_for("listening on br0", 1);
        capture
    });
    daemon.wait_for("lease held", 2);
    assert!(lan.expiry(&ip).unwrap() > first);
    // The daemon closes its sockets after it said so.
    wait_until("sockets to close while a lease is held", || {
        daemon.descriptors() <= idle
    });
    match capture {
        Some(capture) => capture.wait_for(&format!("IP {ip}.68 > 10.7.0.1.67"), 1),
        None => netloom_testkit::skip("no tcpdump to see where a renewal comes from"),
    }
}

#[test]
fn leases_survive_kill_9_and_are_renewed_by_the_next_daemon() {
    let Some(host) = Host::new() else { return };
    let Some(lan) = Lan::served(&host, &["--dhcp-option=option:T1,3"]) else {
        return;
    };
    let (pod, bin) = (lan.pod("one"), PluginDir::of(PROGRAM));
    let daemon = Running::start(&bin, &[]);
    let (dhcp, conf) = (Plugin::ours(&bin, "dhcp"), conf(&json!({})));
    let result = dhcp.add(&conf, &pod).succeeds();
    configure(&pod, &result);
    let ip = address(&result);
    let first = lan.expiry(&ip).unwrap();
    let mut files: Vec<_> = std::fs::read_dir(LEASES)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    files.retain(|file| file.path().extension().is_some_and(|e| e == "json"));
    let mode = files[0].metadata().unwrap().permissions().mode();
    assert_eq!((files.len(), mode & 0o7777), (1, 0o600));
    daemon.kill();

    let daemon = Running::start(&bin, &[]);
    daemon.wait_for("lease resumed", 1);
    dhcp.check(&conf, &result, &pod).succeeds_silently();
    assert_eq!(dhcp.add(&conf, &pod).succeeds(), result);
    daemon.wait_for("lease held", 1);
    assert!(lan.expiry(&ip).unwrap() > first, "it was renewed");
    assert!(daemon.terminate().success());

    let daemon = Running::start(&bin, &[]);
    dhcp.del(&conf, &pod).succeeds_silently();
    wait_until("the lease to go", || lan.leases().is_empty());
    daemon.kill();
    let left = std::fs::read_dir(LEASES).unwrap().count();
    assert_eq!(left, 1, "only the lock is left");
}

#[test]
fn fifty_pods_get_their_leases_at_once() {
    let Some(host) = Host::new() else { return };
    let Some(lan) = Lan::served(&host, &[]) else {
        return;
    };
    let bin = PluginDir::of(PROGRAM);
    let daemon = Running::start(&bin, &[]);
    let (dhcp, conf) = (Plugin::ours(&bin, "dhcp"), conf(&json!({})));
    let idle = daemon.descriptors();
    let pods: Vec<_> = (0..50).map(|n| lan.pod(&format!("p{n}"))).collect();
    let started = Instant::now();
    let results: Vec<Value> = parallel(50, 50, |n| dhcp.add(&conf, &pods[n]).succeeds());
    let took = started.elapsed();
    let mut addresses: Vec<_> = results.iter().map(address).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!((addresses.len(), lan.leases().len()), (50, 50));
    assert!(took < Duration::from_secs(30), "{took:?}");
    println!(
        "50 leases in {took:?}, {} ticks of the daemon",
        daemon.ticks()
    );
    assert_eq!(daemon.threads(), 1);
    // A plugin may be gone before the daemon has closed its end of the connection.
    wait_until("connections to close", || daemon.descriptors() <= idle);

    parallel(50, 50, |n| dhcp.del(&conf, &pods[n]).succeeds_silently());
    wait_until("the leases to go", || lan.leases().is_empty());
    wait_until("connections to close", || daemon.descriptors() <= idle);
}
