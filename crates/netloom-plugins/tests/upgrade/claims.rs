//! Claims of the former netloom on ports: today's stack on them.

use crate::side::Side;
use netloom_testkit::{Host, Plugin, Pod, probe, skip};
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);
/// The way to the port, by either family.
const AT: [&str; 2] = ["10.1.0.1:8080", "[fd00:1::1]:8080"];

fn plugin(side: &Side, name: &str) -> Plugin {
    Plugin::at(side.program(name).parent().unwrap(), name)
}

/// A pod on the bridge, and portmap's configuration for it.
fn wire(host: &Host, bridge: &Plugin, name: &str, last: u8) -> (Pod, Value) {
    let pod = host.pod(name);
    let conf = json!({
        "cniVersion": "1.0.0", "name": "net", "type": "bridge", "bridge": "br0", "isGateway": true,
        "ipam": {"type": "static", "addresses": [
            {"address": format!("10.1.0.{last}/24"), "gateway": "10.1.0.1"},
            {"address": format!("fd00:1::{last}/64"), "gateway": "fd00:1::1"}]},
    });
    let made = bridge.add(&conf, &pod).succeeds();
    let mappings = json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]);
    let portmap = json!({
        "cniVersion": "1.0.0", "name": "net", "type": "portmap", "backend": "nftables",
        "runtimeConfig": {"portMappings": mappings}, "prevResult": made,
    });
    (pod, portmap)
}

/// Whether the host reaches this pod at the port.
fn has_the_port(pod: &Pod) -> bool {
    let listener = pod.run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, 80)).unwrap());
    listener.set_nonblocking(true).unwrap();
    AT.iter().all(|at| {
        let at: SocketAddr = at.parse().unwrap();
        let connected = TcpStream::connect_timeout(&at, PATIENCE);
        connected.is_ok_and(|mut it| it.write_all(b"x").is_ok()) && listener.accept().is_ok()
    })
}

#[test]
fn a_former_claim_on_a_port_comes_back_when_todays_goes() {
    let Some(former) = Side::former() else { return };
    let Some(host) = Host::new() else { return };
    if !probe::has_nft_family("ip") {
        return skip("the kernel has no nf_tables of IPv4");
    }
    let today = Side::netloom();
    let bridge = plugin(&today, "bridge");
    let (old, new) = (plugin(&former, "portmap"), plugin(&today, "portmap"));
    let (one, conf) = wire(&host, &bridge, "one", 5);
    let (two, claim) = wire(&host, &bridge, "two", 6);
    host.sh("ping -q -c 1 -w 10 fd00:1::5 >/dev/null; ping -q -c 1 -w 10 fd00:1::6 >/dev/null");
    old.add(&conf, &one).succeeds();
    assert!(has_the_port(&one));
    new.add(&claim, &two).succeeds();
    assert!(has_the_port(&two) && !has_the_port(&one));
    let shadowed = new.check(&conf, &conf["prevResult"], &one).fails();
    shadowed.names(&["8080/tcp", "shadowed", "id-of-two"]);
    new.del(&claim, &two).succeeds_silently();
    assert!(has_the_port(&one), "{}", host.sh("nft list ruleset"));
    new.check(&conf, &conf["prevResult"], &one)
        .succeeds_silently();
    // And the other way: the former one leaves while it waits.
    new.add(&claim, &two).succeeds();
    new.del(&conf, &one).succeeds_silently();
    assert!(has_the_port(&two));
    new.del(&claim, &two).succeeds_silently();
    let left = host.sh("nft list ruleset");
    assert!(!left.contains("id-of-"), "{left}");
}
