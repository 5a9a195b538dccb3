//! A pod with two interfaces to two routers, which may have the same addresses.

use netloom_testkit::{Call, Host, Outcome, Plugin, PluginDir, Pod, Snapshot, probe, skip};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;

pub(crate) struct Lab {
    pub(crate) vrf: Plugin,
    pub(crate) pod: Pod,
    /// What `eth0` and `net1` lead to.
    pub(crate) routers: [Pod; 2],
    pub(crate) host: Host,
    _plugins: Arc<PluginDir>,
}

pub(crate) fn plugin_dir() -> Arc<PluginDir> {
    Arc::new(PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins")))
}

pub(crate) fn lab() -> Option<Lab> {
    lab_with(plugin_dir(), true)
}

/// `keep`: the pod's IPv6 addresses stay on links that go down.
pub(crate) fn lab_with(plugins: Arc<PluginDir>, keep: bool) -> Option<Lab> {
    let host = Host::new()?;
    let pod = prepared_pod(&host)?;
    let routers = [host.pod("north"), host.pod("south")];
    for (name, router) in ["eth0", "net1"].iter().zip(&routers) {
        host.ip(&format!(
            "link add {name} netns one type veth peer name pod netns {}",
            router.name()
        ));
        set_up(&pod, name, keep);
        router.sh("ip link set lo up
             echo 0 > /proc/sys/net/ipv6/conf/pod/accept_dad
             ip addr add 10.1.0.1/24 dev pod
             ip addr add fd00:1::1/64 dev pod nodad
             ip link set pod up");
    }
    give(&pod, "eth0");
    Some(Lab {
        vrf: Plugin::ours(&plugins, "vrf"),
        pod,
        routers,
        host,
        _plugins: plugins,
    })
}

/// A pod that has had a VRF before: the kernel makes its rule for VRFs with the first, and keeps it.
pub(crate) fn prepared_pod(host: &Host) -> Option<Pod> {
    if !probe::has_link_kind("vrf") {
        skip("the kernel has no vrf links");
        return None;
    }
    let pod = host.pod("one");
    pod.sh("ip link add first type vrf table 7; ip link del first; ip link set lo up");
    Some(pod)
}

pub(crate) fn set_up(pod: &Pod, name: &str, keep: bool) {
    pod.sh(&format!(
        "echo 0 > /proc/sys/net/ipv6/conf/{name}/accept_ra
         echo 0 > /proc/sys/net/ipv6/conf/{name}/accept_dad
         echo {} > /proc/sys/net/ipv6/conf/{name}/keep_addr_on_down
         ip link set {name} up",
        u8::from(keep)
    ));
}

/// What the plugin that makes the interface would give it.
pub(crate) fn give(pod: &Pod, name: &str) {
    pod.sh(&format!(
        "ip addr add 10.1.0.2/24 dev {name}
         ip addr add fd00:1::2/64 dev {name} nodad
         ip route add 172.30.0.0/16 via 10.1.0.1 dev {name} mtu 1300
         ip route add 10.8.0.0/16 dev {name} scope link
         ip route add default via 10.1.0.1 dev {name} metric 5
         ip route add 10.9.0.0/16 via 10.1.0.1 dev {name} table 60
         ip -6 route add 2001:db8:30::/48 via fd00:1::1 dev {name} src fd00:1::2
         ip -6 route add default via fd00:1::1 dev {name}"
    ));
}

/// The result of the plugin that made the interface.
pub(crate) fn made(if_name: &str, version: &str) -> Value {
    let mut result = json!({
        "cniVersion": version,
        "interfaces": [{"name": if_name, "sandbox": "/run/netns/one", "x": 1}],
        "ips": [
            {"address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 0},
            {"address": "fd00:1::2/64", "gateway": "fd00:1::1", "interface": 0}
        ],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}, {"dst": "172.30.0.0/16"}],
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
    let mut conf = json!({"cniVersion": "1.1.0", "name": "net", "type": "vrf", "vrfname": "blue"});
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
        self.call(&self.vrf, command, if_name, conf).run()
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

    /// The routes of a table, IPv4 then IPv6, one line each.
    pub(crate) fn routes(&self, table: &str) -> [String; 2] {
        ["-4", "-6"].map(|family| {
            let list = format!("ip {family} route show table {table} 2>&1 || true");
            let text = self.pod.sh(&list);
            let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            text.lines().map(words).collect::<Vec<_>>().join("\n")
        })
    }

    /// The VRFs in the pod with their tables.
    pub(crate) fn vrfs(&self) -> Vec<(String, u64)> {
        let links: Vec<Value> =
            serde_json::from_str(&self.pod.ip("-j -d link show type vrf")).unwrap();
        let one = |link: &Value| {
            let table = link["linkinfo"]["info_data"]["table"].as_u64()?;
            Some((link["ifname"].as_str()?.to_owned(), table))
        };
        links.iter().filter_map(one).collect()
    }

    pub(crate) fn master(&self, if_name: &str) -> Option<String> {
        let link = self.pod.ip(&format!("link show {if_name}"));
        let (_, rest) = link.split_once(" master ")?;
        rest.split_whitespace().next().map(str::to_owned)
    }

    /// Whether an echo through a device, which may be a VRF, is answered.
    pub(crate) fn pings_by(&self, device: &str, address: &str) -> bool {
        self.pod.run(|| {
            let mut ping = Command::new("ping");
            ping.args(["-n", "-q", "-c", "1", "-i", "0.2", "-w", "3"]);
            if !device.is_empty() {
                ping.args(["-I", device]);
            }
            ping.arg(address).output().unwrap().status.success()
        })
    }
}
