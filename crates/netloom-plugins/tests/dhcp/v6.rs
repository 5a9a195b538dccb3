//! DHCPv6, which the reference does not have.

use crate::acquire::wait_until;
use crate::faults::SOON;
use crate::lan::{Lan, conf};
use crate::running::Running;
use netloom_testkit::{Host, Plugin, PluginDir, probe, skip};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_netloom-plugins");

fn served(host: &Host) -> Option<Lan<'_>> {
    if !probe::has_ipv6() {
        skip("the kernel has no IPv6");
        return None;
    }
    let lan = Lan::new(host);
    host.ip("address add fd00:7::1/64 dev br0 nodad");
    let options = [
        "--dhcp-range=fd00:7::1000,fd00:7::1fff,64,2m",
        "--dhcp-option=option6:dns-server,[fd00:7::1]",
        "--dhcp-option=option6:domain-search,six.example.org",
    ];
    lan.serve(&options).then_some(lan)
}

fn addresses(result: &Value) -> Vec<&str> {
    let ips = result["ips"].as_array().unwrap();
    ips.iter()
        .map(|ip| ip["address"].as_str().unwrap())
        .collect()
}

#[test]
fn both_families_are_leased_kept_and_given_back() {
    let Some(host) = Host::new() else { return };
    let Some(lan) = served(&host) else { return };
    let (pod, bin) = (lan.pod("one"), PluginDir::of(PROGRAM));
    let daemon = Running::start(&bin, &[]);
    let (dhcp, conf) = (Plugin::ours(&bin, "dhcp"), conf(&json!({"ipv6": true})));
    let result = dhcp.add(&conf, &pod).succeeds();
    let [v4, v6] = addresses(&result)[..] else {
        panic!("{result}")
    };
    assert!(
        v4.starts_with("10.7.1.") && v6.starts_with("fd00:7::1"),
        "{result}"
    );
    assert!(v6.ends_with("/128"), "{v6}");
    assert_eq!(result["dns"]["nameservers"], json!(["fd00:7::1"]));
    assert_eq!(result["dns"]["search"], json!(["six.example.org"]));
    let v6 = v6.trim_end_matches("/128");
    assert_eq!(lan.leases().len(), 2);
    assert!(lan.leases().iter().any(|lease| lease.contains(v6)));
    dhcp.check(&conf, &result, &pod).succeeds_silently();
    daemon.kill();

    let daemon = Running::start(&bin, &[]);
    dhcp.check(&conf, &result, &pod).succeeds_silently();
    assert_eq!(dhcp.add(&conf, &pod).succeeds(), result);
    daemon.kill();
    // Without a daemon, too.
    dhcp.del(&conf, &pod).succeeds_silently();
    wait_until("both leases to go", || lan.leases().is_empty());
}

#[test]
fn ipv6_alone_works_where_it_was_turned_off() {
    let Some(host) = Host::new() else { return };
    let Some(lan) = served(&host) else { return };
    let (pod, bin) = (lan.pod("one"), PluginDir::of(PROGRAM));
    pod.sh("echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6");
    let _daemon = Running::start(&bin, &[]);
    let dhcp = Plugin::ours(&bin, "dhcp");
    let conf = conf(&json!({"ipv4": false, "ipv6": true}));
    let result = dhcp.add(&conf, &pod).succeeds();
    assert_eq!(addresses(&result).len(), 1);
    // The kernel takes it as it is.
    pod.ip(&format!("address add {} dev eth0", addresses(&result)[0]));
    dhcp.del(&conf, &pod).succeeds_silently();
    wait_until("the lease to go", || lan.leases().is_empty());
}

#[test]
fn one_family_without_a_server_fails_the_add_and_leaves_nothing_of_the_other() {
    let Some(host) = Host::new() else { return };
    if !probe::has_ipv6() {
        return skip("the kernel has no IPv6");
    }
    let Some(lan) = Lan::served(&host, &[]) else {
        return;
    };
    let (pod, bin) = (lan.pod("one"), PluginDir::of(PROGRAM));
    let _daemon = Running::start(&bin, &SOON);
    let dhcp = Plugin::ours(&bin, "dhcp");
    let error = dhcp.add(&conf(&json!({"ipv6": true})), &pod).fails();
    error.names(&["no more tries", "no DHCPv6 server answered"]);
    wait_until("the lease to go", || lan.leases().is_empty());
}
