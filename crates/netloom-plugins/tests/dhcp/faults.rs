//! Servers that refuse, say nothing, or change their mind.

use crate::acquire::wait_until;
use crate::lan::{Lan, address, conf, configure};
use crate::running::Running;
use crate::server::{ACK, DISCOVER, NAK, OFFER, REQUEST, Server};
use netloom_testkit::{Host, Plugin, PluginDir, Pod};
use serde_json::json;
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_netloom-plugins");

/// Flags of a daemon that gives up soon.
pub(crate) const SOON: [&str; 6] = [
    "-timeout",
    "100ms",
    "-resendmax",
    "400ms",
    "-resendtimeout",
    "3s",
];

fn is_up(pod: &Pod) -> bool {
    pod.ip("-br link show dev eth0").contains(" UP ")
}

#[test]
fn a_silent_server_fails_the_add_in_bounded_time_and_delays_nobody_else() {
    let Some(host) = Host::new() else { return };
    let Some(lan) = Lan::served(&host, &[]) else {
        return;
    };
    let (good, bad, bin) = (lan.pod("good"), host.pod("bad"), PluginDir::of(PROGRAM));
    bad.ip("link add eth0 type veth peer name nobody");
    bad.ip("link set nobody up");
    let daemon = Running::start(&bin, &SOON);
    let (dhcp, conf) = (Plugin::ours(&bin, "dhcp"), conf(&json!({})));
    std::thread::scope(|scope| {
        let (dhcp, conf) = (&dhcp, &conf);
        let bad = &bad;
        let slow = scope.spawn(move || {
            let started = Instant::now();
            let error = dhcp.add(conf, bad).fails();
            error.names(&["no more tries", "no DHCP server answered"]);
            started.elapsed()
        });
        daemon.wait_for("id-of-bad/net/eth0: acquiring", 1);
        let started = Instant::now();
        dhcp.add(conf, &good).succeeds();
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "{:?}",
            started.elapsed()
        );
        let took = slow.join().unwrap();
        assert!((3..8).contains(&took.as_secs()), "{took:?}");
    });
    assert!(daemon.ticks() < 100, "{} ticks", daemon.ticks());
    // What failed leaves nothing.
    dhcp.check(&conf, &json!({"cniVersion": "1.1.0"}), &bad)
        .fails()
        .names(&["no lease"]);
    dhcp.del(&conf, &bad).succeeds_silently();
}

#[test]
fn a_server_that_refuses_is_asked_again_then_blamed() {
    let Some(host) = Host::new() else { return };
    let lan = Lan::new(&host);
    let (pod, bin) = (lan.pod("one"), PluginDir::of(PROGRAM));
    let _daemon = Running::start(&bin, &SOON);
    let (dhcp, conf) = (Plugin::ours(&bin, "dhcp"), conf(&json!({})));
    let server = Server::start(|kind, _| match kind {
        DISCOVER => Some((OFFER, 5)),
        REQUEST => Some((NAK, 5)),
        _ => None,
    });
    let started = Instant::now();
    dhcp.add(&conf, &pod)
        .fails()
        .names(&["no more tries", "Nak"]);
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "{:?}",
        started.elapsed()
    );
    drop(server);
    let _server = Server::start(|kind, seen| match kind {
        DISCOVER => Some((OFFER, 6)),
        REQUEST if seen < 3 => Some((NAK, 6)),
        REQUEST => Some((ACK, 6)),
        _ => None,
    });
    assert_eq!(address(&dhcp.add(&conf, &pod).succeeds()), "10.7.2.6");
}

#[test]
fn a_lease_that_expires_takes_the_interface_down_and_is_reported() {
    let Some(host) = Host::new() else { return };
    let lan = Lan::new(&host);
    let (pod, bin) = (lan.pod("one"), PluginDir::of(PROGRAM));
    let daemon = Running::start(&bin, &[]);
    let (dhcp, conf) = (Plugin::ours(&bin, "dhcp"), conf(&json!({})));
    // Answers until the lease is there, and once more to renew it.
    let server = Server::start(|kind, seen| match kind {
        DISCOVER => Some((OFFER, 5)),
        REQUEST if seen < 3 => Some((ACK, 5)),
        _ => None,
    });
    let result = dhcp.add(&conf, &pod).succeeds();
    configure(&pod, &result);
    assert!(is_up(&pod));
    daemon.wait_for("lease held", 2);
    daemon.wait_for("expired, bringing interface DOWN", 1);
    wait_until("the interface to go down", || !is_up(&pod));
    let error = dhcp.check(&conf, &result, &pod).fails();
    error.names(&["the lease of 10.7.2.5 expired"]);
    daemon.kill();
    let _daemon = Running::start(&bin, &[]);
    let error = dhcp.check(&conf, &result, &pod).fails();
    error.names(&["the lease of 10.7.2.5 expired"]);
    // A new ADD tries anew, and a DEL goes through.
    drop(server);
    let _server = Server::start(|kind, _| Some((if kind == DISCOVER { OFFER } else { ACK }, 5)));
    dhcp.add(&conf, &pod).succeeds();
    dhcp.check(&conf, &result, &pod).succeeds_silently();
    dhcp.del(&conf, &pod).succeeds_silently();
}

#[test]
fn a_refused_renewal_gets_the_same_address_again_or_takes_the_interface_down() {
    let Some(host) = Host::new() else { return };
    let lan = Lan::new(&host);
    let (pod, bin) = (lan.pod("one"), PluginDir::of(PROGRAM));
    let daemon = Running::start(&bin, &[]);
    let (dhcp, conf) = (Plugin::ours(&bin, "dhcp"), conf(&json!({})));
    // Discover, request, refused renewal, discover, request; then refused again and moved.
    let _server = Server::start(|kind, seen| match (kind, seen) {
        (REQUEST, 2 | 5) => Some((NAK, 5)),
        (DISCOVER, 0..=4) => Some((OFFER, 5)),
        (REQUEST, 0..=4) => Some((ACK, 5)),
        (DISCOVER, _) => Some((OFFER, 77)),
        (REQUEST, _) => Some((ACK, 77)),
        _ => None,
    });
    let result = dhcp.add(&conf, &pod).succeeds();
    configure(&pod, &result);
    daemon.wait_for("server rejected request with Nak", 1);
    daemon.wait_for("lease held", 2);
    assert!(is_up(&pod));
    daemon.wait_for(
        "took 10.7.2.5 back and offers 10.7.2.77, bringing interface DOWN",
        1,
    );
    wait_until("the interface to go down", || !is_up(&pod));
    dhcp.check(&conf, &result, &pod)
        .fails()
        .names(&["10.7.2.77"]);
}

#[test]
fn an_add_whose_caller_is_gone_ends() {
    let Some(host) = Host::new() else { return };
    let lan = Lan::new(&host);
    let (pod, bin) = (lan.pod("one"), PluginDir::of(PROGRAM));
    let daemon = Running::start(&bin, &[]);
    let conf = conf(&json!({}));
    let mut child = std::process::Command::new(bin.path().join("dhcp"))
        .env("CNI_COMMAND", "ADD")
        .env("CNI_CONTAINERID", pod.container_id())
        .env("CNI_NETNS", pod.path())
        .env("CNI_IFNAME", "eth0")
        .env("CNI_PATH", bin.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), conf.to_string().as_bytes()).unwrap();
    drop(child.stdin.take());
    daemon.wait_for("acquiring lease", 1);
    child.kill().unwrap();
    child.wait().unwrap();
    daemon.wait_for("nobody waits for the lease any more", 1);
}

#[test]
fn a_del_during_an_acquisition_ends_it() {
    let Some(host) = Host::new() else { return };
    let lan = Lan::new(&host);
    let (pod, bin) = (lan.pod("one"), PluginDir::of(PROGRAM));
    let daemon = Running::start(&bin, &[]);
    let (dhcp, conf) = (Plugin::ours(&bin, "dhcp"), conf(&json!({})));
    std::thread::scope(|scope| {
        let adding = scope.spawn(|| dhcp.add(&conf, &pod).fails());
        daemon.wait_for("acquiring lease", 1);
        dhcp.del(&conf, &pod).succeeds_silently();
        adding.join().unwrap().names(&["was released"]);
    });
}

#[test]
fn a_pod_that_is_gone_ends_the_maintenance() {
    let Some(host) = Host::new() else { return };
    let Some(lan) = Lan::served(&host, &["--dhcp-option=option:T1,3"]) else {
        return;
    };
    let (pod, bin) = (lan.pod("one"), PluginDir::of(PROGRAM));
    let link = lan.pod("two");
    let daemon = Running::start(&bin, &[]);
    let (dhcp, conf) = (Plugin::ours(&bin, "dhcp"), conf(&json!({})));
    for pod in [&pod, &link] {
        dhcp.add(&conf, pod).succeeds();
    }
    pod.remove();
    link.ip("link delete eth0");
    daemon.wait_for("terminating lease maintenance", 2);
    assert!(
        daemon
            .log()
            .contains("error looking up \"eth0\": Link not found")
    );
    for pod in [&pod, &link] {
        dhcp.del(&conf, pod).succeeds_silently();
    }
}
