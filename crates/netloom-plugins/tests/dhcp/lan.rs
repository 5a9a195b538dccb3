//! A network with a DHCP server: a bridge on the host, pods on it, dnsmasq behind it.

use netloom_testkit::{Host, Pod, skip};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const LEASES: &str = "/run/dnsmasq.leases";
const PID: &str = "/run/dnsmasq.pid";
const LOG: &str = "/run/dnsmasq.log";

/// The bridge br0 with 10.7.0.1, and what serves on it.
pub(crate) struct Lan<'h> {
    pub(crate) host: &'h Host,
}

impl<'h> Lan<'h> {
    pub(crate) fn new(host: &'h Host) -> Self {
        host.ip("link add br0 type bridge");
        host.ip("address add 10.7.0.1/16 dev br0");
        host.ip("link set br0 up");
        Self { host }
    }

    /// The network with dnsmasq, or `None` after a skip.
    pub(crate) fn served(host: &'h Host, options: &[&str]) -> Option<Self> {
        let lan = Self::new(host);
        lan.serve(options).then_some(lan)
    }

    /// Starts dnsmasq: it goes to the background when it is ready.
    pub(crate) fn serve(&self, options: &[&str]) -> bool {
        let outcome = Command::new("dnsmasq")
            .args([
                "-C",
                "/dev/null",
                "--port=0",
                "--interface=br0",
                "--bind-interfaces",
            ])
            .args(["--user=root", "--group=root", "--no-ping", "--log-dhcp"])
            .args([format!("--pid-file={PID}"), format!("--log-facility={LOG}")])
            .args([
                format!("--dhcp-leasefile={LEASES}"),
                "--dhcp-range=10.7.1.1,10.7.1.250,255.255.0.0,2m".to_owned(),
            ])
            .args(options)
            .output();
        match outcome {
            Err(_) => {
                skip("no dnsmasq: install Debian's package dnsmasq-base");
                false
            }
            Ok(output) => {
                let stderr = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "dnsmasq does not start: {stderr}");
                true
            }
        }
    }

    /// Ends dnsmasq at once. Its lease file stays.
    pub(crate) fn stop_serving(&self) {
        if let Ok(pid) = std::fs::read_to_string(PID) {
            let pid = pid.trim().parse().ok().and_then(Pid::from_raw);
            let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
            drop(std::fs::remove_file(PID));
        }
    }

    /// A pod with eth0 on the bridge, down and without address, as an IPAM plugin meets it.
    pub(crate) fn pod(&self, name: &str) -> Pod {
        let pod = self.host.pod(name);
        self.attach(&pod);
        pod
    }

    /// Gives a pod its eth0.
    pub(crate) fn attach(&self, pod: &Pod) {
        let name = pod.name();
        self.host.sh(&format!(
            "ip link add v{name} type veth peer name eth0 netns {name} && \
             ip link set v{name} master br0 up"
        ));
    }

    /// The lines of the lease file.
    pub(crate) fn leases(&self) -> Vec<String> {
        let text = std::fs::read_to_string(LEASES).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.starts_with("duid"));
        lines.map(str::to_owned).collect()
    }

    /// When the lease of an address ends, in seconds of the clock.
    pub(crate) fn expiry(&self, address: &str) -> Option<u64> {
        let leases = self.leases();
        let line = leases.iter().find(|line| line.contains(address))?;
        line.split(' ').next()?.parse().ok()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(LOG).unwrap_or_default()
    }
}

impl Drop for Lan<'_> {
    fn drop(&mut self) {
        self.stop_serving();
        if std::thread::panicking() && Path::new(LOG).exists() {
            println!("--- dnsmasq\n{}", self.log());
        }
    }
}

/// The configuration of a network "net".
pub(crate) fn conf(ipam: &Value) -> Value {
    let mut ipam = ipam.clone();
    ipam["type"] = json!("dhcp");
    json!({"cniVersion": "1.1.0", "name": "net", "type": "bridge", "ipam": ipam})
}

/// The address of a result, without the length of its prefix.
pub(crate) fn address(result: &Value) -> String {
    let address = result["ips"][0]["address"].as_str().unwrap();
    address.split('/').next().unwrap().to_owned()
}

/// Gives the pod what the result says, as an interface plugin does.
pub(crate) fn configure(pod: &Pod, result: &Value) {
    let address = result["ips"][0]["address"].as_str().unwrap();
    pod.ip(&format!("address add {address} dev eth0"));
    pod.ip("link set eth0 up");
}
