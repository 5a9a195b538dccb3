//! What plugins need around them: devices, VLANs outside, a DHCP server and the daemon.

use std::any::Any;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use netloom_testkit::{Host, Uplink, probe, skip};

use crate::side::Side;

/// Whatever lives as long as the host.
pub(crate) type Background = Option<Vec<Box<dyn Any>>>;

pub(crate) const DHCP_SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 7, 0, 1));
const SOCKET: &str = "/run/cni/dhcp.sock";

/// A device for each pod, to the router.
pub(crate) fn devices(host: &Host, uplink: &Uplink) -> Background {
    for number in [1, 2] {
        host.ip(&format!(
            "link add nic{number} type veth peer name far{number} netns outside"
        ));
        uplink.outside.sh(&format!(
            "ip addr add 10.{number}.0.1/24 dev far{number}; ip link set far{number} up"
        ));
    }
    Some(Vec::new())
}

/// A VLAN for each pod, which the router is in.
pub(crate) fn vlans(uplink: &Uplink) -> Background {
    for number in [1, 2] {
        uplink.outside.sh(&format!(
            "ip link add link eth0 name eth0.{number} type vlan id 10{number}
             ip addr add 10.{number}.0.1/24 dev eth0.{number}
             ip link set eth0.{number} up"
        ));
    }
    Some(Vec::new())
}

/// A bridge with dnsmasq on it, and a side's daemon, which stays when the plugins are replaced.
pub(crate) fn dhcp(host: &Host, side: &Side) -> Background {
    if !probe::has_program("dnsmasq") {
        skip("no dnsmasq: install Debian's package dnsmasq-base");
        return None;
    }
    host.sh(&format!(
        "ip link add br0 type bridge; ip addr add {DHCP_SERVER}/16 dev br0; ip link set br0 up"
    ));
    // Leases that end would tell when, which a request that is sent again changes.
    let server = Running::start(Command::new("dnsmasq").args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--port=0",
        "--interface=br0",
        "--bind-interfaces",
        "--user=root",
        "--group=root",
        "--no-ping",
        "--pid-file",
        "--log-facility=/dev/null",
        "--dhcp-leasefile=/run/dnsmasq.leases",
        "--dhcp-range=10.7.1.1,10.7.1.250,255.255.0.0,infinite",
    ]));
    let daemon = Running::start(Command::new(side.program("dhcp")).arg("daemon"));
    let since = Instant::now();
    while UnixStream::connect(SOCKET).is_err() {
        assert!(since.elapsed() < Duration::from_secs(20), "no dhcp daemon");
        std::thread::sleep(Duration::from_millis(10));
    }
    Some(vec![Box::new(daemon), Box::new(server)])
}

/// A program that ends with the test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = quiet.stderr(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
