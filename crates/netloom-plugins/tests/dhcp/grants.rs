//! What servers grant that is unusual, and what must not be taken.

use crate::acquire::wait_until;
use crate::lan::{Lan, address, conf};
use crate::running::Running;
use crate::server::{ACK, DISCOVER, Grant, OFFER, RELEASE, REQUEST, Server};
use netloom_testkit::{Host, Plugin, PluginDir};
use serde_json::json;
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_netloom-plugins");

const NAMED: [u8; 6] = [54, 4, 10, 7, 0, 1];
const MASK: [u8; 6] = [1, 4, 255, 255, 0, 0];
const HOUR: [u8; 6] = [51, 4, 0, 0, 14, 16];
const ROUTER: [u8; 6] = [3, 4, 10, 7, 0, 1];

fn grant(options: &[[u8; 6]]) -> Grant {
    Grant {
        address: [10, 7, 2, 5],
        options: options.concat(),
    }
}

#[test]
fn a_router_outside_of_the_subnet_is_reached_on_the_link() {
    let Some(host) = Host::new() else { return };
    let lan = Lan::new(&host);
    let bin = PluginDir::of(PROGRAM);
    let _daemon = Running::start(&bin, &[]);
    let single = [1, 4, 255, 255, 255, 255];
    let _server = Server::granting(grant(&[NAMED, single, HOUR, ROUTER]));
    let bridge = Plugin::ours(&bin, "bridge");
    // Versions before 1.0.0 know no scope of a route.
    for version in ["1.1.0", "1.0.0", "0.4.0"] {
        let pod = host.pod("single");
        let mut conf = conf(&json!({}));
        conf["cniVersion"] = json!(version);
        conf["bridge"] = json!("br0");
        let result = bridge.add(&conf, &pod).succeeds();
        let routes = pod.ip("route");
        assert!(routes.contains("10.7.0.1 dev eth0 scope link"), "{routes}");
        assert!(routes.contains("default via 10.7.0.1 dev eth0"), "{routes}");
        assert!(pod.pings([10, 7, 0, 1]), "{version}");
        bridge.check(&conf, &result, &pod).succeeds_silently();
        bridge.del(&conf, &pod).succeeds_silently();
        pod.remove();
    }
    drop(lan);
}

#[test]
fn a_router_that_was_not_asked_for_is_no_default_route() {
    let Some(host) = Host::new() else { return };
    let lan = Lan::new(&host);
    let bin = PluginDir::of(PROGRAM);
    let _daemon = Running::start(&bin, &[]);
    let dhcp = Plugin::ours(&bin, "dhcp");
    let _server = Server::granting(grant(&[NAMED, MASK, HOUR, ROUTER]));
    let routes = |name: &str, request| {
        let conf = conf(&json!({"request": request}));
        let result = dhcp.add(&conf, &lan.pod(name)).succeeds();
        result.get("routes").cloned()
    };
    let skip = json!({"skipDefault": true});
    assert_eq!(routes("none", json!([skip])), None);
    assert_eq!(routes("other", json!([{"option": "42"}, skip])), None);
    let default = Some(json!([{"dst": "0.0.0.0/0", "gw": "10.7.0.1"}]));
    assert_eq!(
        routes("asked", json!([{"option": "routers"}, skip])),
        default
    );
    assert_eq!(routes("usual", json!([])), default);
}

#[test]
fn an_offer_without_a_server_identifier_is_taken_and_given_back() {
    let Some(host) = Host::new() else { return };
    let lan = Lan::new(&host);
    let (pod, bin) = (lan.pod("one"), PluginDir::of(PROGRAM));
    let _daemon = Running::start(&bin, &[]);
    let dhcp = Plugin::ours(&bin, "dhcp");
    let server = Server::granting(grant(&[MASK, HOUR, ROUTER]));
    let conf = conf(&json!({}));
    let result = dhcp.add(&conf, &pod).succeeds();
    assert_eq!(result["ips"][0]["address"], "10.7.2.5/16");
    dhcp.del(&conf, &pod).succeeds_silently();
    wait_until("the lease to come back", || {
        server.seen().contains(&RELEASE)
    });
}

#[test]
fn routes_under_the_number_of_microsoft_are_taken() {
    let Some(host) = Host::new() else { return };
    let lan = Lan::new(&host);
    let bin = PluginDir::of(PROGRAM);
    let _daemon = Running::start(&bin, &[]);
    let mut both = grant(&[NAMED, MASK, HOUR, ROUTER]);
    both.options.extend([249, 7, 16, 10, 9, 10, 7, 0, 2]);
    let _server = Server::granting(both);
    let dhcp = Plugin::ours(&bin, "dhcp");
    let result = dhcp.add(&conf(&json!({})), &lan.pod("one")).succeeds();
    let routes = json!([{"dst": "10.9.0.0/16", "gw": "10.7.0.2"}]);
    assert_eq!(result["routes"], routes);
}

#[test]
fn two_interfaces_of_one_pod_are_two_however_long_their_names_are() {
    let Some(host) = Host::new() else { return };
    let Some(lan) = Lan::served(&host, &[]) else {
        return;
    };
    let (pod, bin) = (lan.pod("one"), PluginDir::of(PROGRAM));
    host.sh(
        "ip link add vtwo type veth peer name eth1 netns one && ip link set vtwo master br0 up",
    );
    let _daemon = Running::start(&bin, &[]);
    let (dhcp, conf) = (Plugin::ours(&bin, "dhcp"), conf(&json!({})));
    let call = |command: &str, name: &str| {
        let call = dhcp.call(command, &conf).pod(&pod);
        let call = call.env("CNI_CONTAINERID", "x".repeat(250));
        call.env("CNI_IFNAME", name).run()
    };
    let [one, two] = ["eth0", "eth1"].map(|name| address(&call("ADD", name).succeeds()));
    assert_ne!(one, two);
    assert_eq!(lan.leases().len(), 2);
    for name in ["eth0", "eth1"] {
        call("DEL", name).succeeds_silently();
    }
    wait_until("the leases to go", || lan.leases().is_empty());
}

#[test]
fn a_lease_of_a_second_is_not_renewed_more_often_than_every_few_seconds() {
    let Some(host) = Host::new() else { return };
    let lan = Lan::new(&host);
    let (pod, bin) = (lan.pod("one"), PluginDir::of(PROGRAM));
    let daemon = Running::start(&bin, &[]);
    let at_once = [[58, 4, 0, 0, 0, 0], [59, 4, 0, 0, 0, 0]];
    let second = [51, 4, 0, 0, 0, 1];
    let server = Server::granting(grant(&[NAMED, MASK, second, at_once[0], at_once[1]]));
    let started = Instant::now();
    let dhcp = Plugin::ours(&bin, "dhcp");
    dhcp.add(&conf(&json!({})), &pod).succeeds();
    // One when it is acquired, three when it is renewed.
    daemon.wait_for("lease held", 4);
    let took = started.elapsed();
    assert!(took > Duration::from_secs(8), "{took:?}");
    let seen = server.seen();
    assert!(seen.len() < 10, "{seen:?}");
}

#[test]
fn an_offer_of_an_address_that_no_host_can_have_is_passed_over() {
    let Some(host) = Host::new() else { return };
    let lan = Lan::new(&host);
    let bin = PluginDir::of(PROGRAM);
    let _daemon = Running::start(&bin, &[]);
    let good = grant(&[NAMED, MASK, HOUR, ROUTER]);
    let bad = [[127, 0, 0, 1], [240, 0, 0, 1], [224, 0, 0, 1]];
    let _server = Server::deciding(move |kind, seen| {
        let address = bad.get(seen).copied().unwrap_or(good.address);
        let grant = Grant {
            address,
            ..good.clone()
        };
        match kind {
            DISCOVER => Some((OFFER, grant)),
            REQUEST => Some((ACK, grant)),
            _ => None,
        }
    });
    let dhcp = Plugin::ours(&bin, "dhcp");
    let result = dhcp.add(&conf(&json!({})), &lan.pod("one")).succeeds();
    assert_eq!(address(&result), "10.7.2.5");
}
