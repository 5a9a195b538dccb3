//! A pod with two interfaces, each on a link of its own to a router with a world behind it.

use netloom_testkit::{Call, Host, Outcome, Plugin, PluginDir, Pod, Snapshot};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;

/// The kernel's own rules, which nobody may touch.
pub(crate) const KERNEL_RULES: [&str; 2] = [
    "0: from all lookup local 32766: from all lookup main 32767: from all lookup default",
    "0: from all lookup local 32766: from all lookup main",
];

pub(crate) struct Lab {
    pub(crate) sbr: Plugin,
    pub(crate) pod: Pod,
    /// What `eth0` and `net1` lead to.
    pub(crate) routers: [Pod; 2],
    pub(crate) host: Host,
    pub(crate) plugins: Arc<PluginDir>,
}

pub(crate) fn plugin_dir() -> Arc<PluginDir> {
    Arc::new(PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins")))
}

pub(crate) fn lab() -> Option<Lab> {
    lab_with(plugin_dir())
}

pub(crate) fn lab_with(plugins: Arc<PluginDir>) -> Option<Lab> {
    let host = Host::new()?;
    let pod = host.pod("one");
    pod.ip("link set lo up");
    let routers = [host.pod("north"), host.pod("south")];
    for (number, (name, router)) in ["eth0", "net1"].iter().zip(&routers).enumerate() {
        let n = number + 1;
        host.ip(&format!(
            "link add {name} netns one type veth peer name pod netns {}",
            router.name()
        ));
        // Strict: a packet is taken from where its answer would go, and from nowhere else.
        pod.sh(&format!(
            "echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter
             echo 0 > /proc/sys/net/ipv6/conf/{name}/accept_ra
             echo 0 > /proc/sys/net/ipv6/conf/{name}/accept_dad
             ip addr add 10.{n}.0.2/24 dev {name}
             ip addr add fd00:{n}::2/64 dev {name} nodad
             ip link set {name} up"
        ));
        // The world behind the router is an address of its own that it speaks from.
        router.sh(&format!(
            "ip link set lo up
             echo 0 > /proc/sys/net/ipv6/conf/pod/accept_dad
             ip addr add 10.{n}.0.1/24 dev pod noprefixroute
             ip addr add fd00:{n}::1/64 dev pod nodad noprefixroute
             ip addr add 192.0.2.{n}/32 dev lo
             ip addr add 2001:db8:9::{n}/128 dev lo nodad
             ip link set pod up
             ip route add 10.{n}.0.0/24 dev pod src 192.0.2.{n}
             ip -6 route add fd00:{n}::/64 dev pod src 2001:db8:9::{n}"
        ));
    }
    pod.sh("ip route add default via 10.1.0.1
         ip -6 route add default via fd00:1::1
         ip route add 172.30.0.0/16 via 10.2.0.1 metric 7 mtu 1300
         ip -6 route add 2001:db8:30::/48 via fd00:2::1");
    Some(Lab {
        sbr: Plugin::ours(&plugins, "sbr"),
        pod,
        routers,
        host,
        plugins,
    })
}

/// The world behind the router of an interface: IPv4, IPv6.
pub(crate) fn world(number: u8) -> [IpAddr; 2] {
    [
        [192, 0, 2, number].into(),
        format!("2001:db8:9::{number}").parse().unwrap(),
    ]
}

/// The pod's addresses on an interface: IPv4, IPv6.
pub(crate) fn own(number: u8) -> [IpAddr; 2] {
    [
        [10, number, 0, 2].into(),
        format!("fd00:{number}::2").parse().unwrap(),
    ]
}

/// The result of a plugin that made the interface, in the shape of a version.
pub(crate) fn made(if_name: &str, version: &str) -> Value {
    let n = if if_name == "eth0" { 1 } else { 2 };
    let (v4, v6) = (format!("10.{n}.0.2/24"), format!("fd00:{n}::2/64"));
    let (gw4, gw6) = (format!("10.{n}.0.1"), format!("fd00:{n}::1"));
    if version < "0.3.0" {
        return json!({
            "cniVersion": version,
            "ip4": {"ip": v4, "gateway": gw4}, "ip6": {"ip": v6, "gateway": gw6}
        });
    }
    let mut result = json!({
        "cniVersion": version,
        "interfaces": [
            {"name": "veth0123"},
            {"name": if_name, "sandbox": "/run/netns/one", "x": 1}
        ],
        "ips": [
            {"address": v4, "gateway": gw4, "interface": 1},
            {"address": v6, "gateway": gw6, "interface": 1}
        ],
        "dns": {"nameservers": ["10.9.9.9"]}
    });
    if version < "1.0.0" {
        result["ips"][0]["version"] = json!("4");
        result["ips"][1]["version"] = json!("6");
    }
    result
}

/// The configuration with these keys on top.
pub(crate) fn conf(keys: Value) -> Value {
    let mut conf = json!({"cniVersion": "1.1.0", "name": "net", "type": "sbr"});
    for (key, value) in keys.as_object().unwrap() {
        conf[key] = value.clone();
    }
    conf
}

/// The same for ADD of an interface.
pub(crate) fn chained(if_name: &str, keys: Value) -> Value {
    let mut conf = conf(keys);
    let version = conf["cniVersion"].as_str().unwrap().to_owned();
    conf["prevResult"] = made(if_name, &version);
    conf
}

impl Lab {
    pub(crate) fn call(&self, plugin: &Plugin, command: &str, if_name: &str, conf: &Value) -> Call {
        let call = plugin.call(command, conf).pod(&self.pod);
        call.env("CNI_IFNAME", if_name)
    }

    pub(crate) fn run(&self, command: &str, if_name: &str, conf: &Value) -> Outcome {
        self.call(&self.sbr, command, if_name, conf).run()
    }

    pub(crate) fn add(&self, if_name: &str, keys: Value) -> Value {
        self.run("ADD", if_name, &chained(if_name, keys)).succeeds()
    }

    #[track_caller]
    pub(crate) fn del(&self, if_name: &str, keys: Value) {
        self.run("DEL", if_name, &chained(if_name, keys))
            .succeeds_silently();
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let [north, south] = &self.routers;
        Snapshot::take(&self.host, &[&self.pod, north, south])
    }

    /// The rules of both families, in order, white space put right.
    pub(crate) fn rules(&self) -> [String; 2] {
        ["-4", "-6"].map(|family| words(&self.pod.ip(&format!("{family} rule"))))
    }

    /// The routes of a table, IPv4 then IPv6, without the kernel's own of IPv6.
    pub(crate) fn routes(&self, table: &str) -> [String; 2] {
        ["-4", "-6"].map(|family| {
            let list = format!("ip {family} route show table {table} 2>&1 || true");
            let text = self.pod.sh(&list);
            let lines = text
                .lines()
                .filter(|line| !line.contains("not exist") && !line.contains("terminated"));
            let lines: Vec<String> = lines.map(words).collect();
            lines.join("\n")
        })
    }
}

pub(crate) fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
