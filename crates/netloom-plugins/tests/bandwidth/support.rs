//! What the tests of bandwidth have in common.

use netloom_testkit::{Host, Plugin, PluginDir, Pod, Snapshot};
use serde_json::{Value, json};

/// The host's end of the pod's veth.
pub(crate) const HOST_END: &str = "host-one";
/// The pod's address; the host's is the one before.
pub(crate) const POD: [u8; 4] = [10, 1, 0, 2];
pub(crate) const HOST: [u8; 4] = [10, 1, 0, 1];

/// A host and our plugins. (Pods go before the host does.)
pub(crate) struct Lab {
    pub(crate) plugin: Plugin,
    pub(crate) host: Host,
    _plugins: PluginDir,
}

impl Lab {
    /// `None` where no host can be made; the test then returns.
    pub(crate) fn new() -> Option<Self> {
        let host = Host::new()?;
        let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
        Some(Self {
            plugin: Plugin::ours(&plugins, "bandwidth"),
            host,
            _plugins: plugins,
        })
    }

    /// A pod `one` with an interface `eth0`, as an earlier plugin of the chain leaves it.
    pub(crate) fn pod(&self) -> Pod {
        pod(&self.host, "one")
    }

    pub(crate) fn snapshot(&self, pods: &[&Pod]) -> Snapshot {
        Snapshot::take(&self.host, pods)
    }

    /// What `tc` says of the qdiscs of a link of the host, without how often they are used.
    pub(crate) fn qdiscs(&self, link: &str) -> String {
        let listed = self.host.sh(&format!("tc -d qdisc show dev {link}"));
        let mut words = listed.split(' ');
        let mut kept = Vec::new();
        while let Some(word) = words.next() {
            match word {
                "refcnt" => drop(words.next()),
                word => kept.push(word),
            }
        }
        kept.join(" ")
    }

    /// The ifbs of the host.
    pub(crate) fn ifbs(&self) -> Vec<String> {
        let listed: Vec<Value> = serde_json::from_str(&self.host.ip("-j link show")).unwrap();
        let names = listed.iter().map(|link| link["ifname"].as_str().unwrap());
        let mut names: Vec<String> = names
            .filter(|name| name.starts_with("bwp"))
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    }
}

/// A pod of any name. Only `one` has addresses.
pub(crate) fn pod(host: &Host, name: &str) -> Pod {
    let pod = host.pod(name);
    wire(host, &pod, "eth0", &format!("host-{name}"));
    if name == "one" {
        host.ip(&format!("address add 10.1.0.1/24 dev {HOST_END}"));
        pod.ip("address add 10.1.0.2/24 dev eth0");
    }
    pod
}

/// A veth between host and pod, up on both sides.
pub(crate) fn wire(host: &Host, pod: &Pod, inside: &str, outside: &str) {
    host.ip(&format!(
        "link add {outside} mtu 1400 type veth peer name {inside} mtu 1400 netns {}",
        pod.name()
    ));
    host.ip(&format!("link set {outside} up"));
    pod.ip(&format!("link set {inside} up"));
    // Addresses of their own would come and go while snapshots are taken.
    host.sh(&format!(
        "echo 1 > /proc/sys/net/ipv6/conf/{outside}/disable_ipv6"
    ));
    pod.sh(&format!(
        "echo 1 > /proc/sys/net/ipv6/conf/{inside}/disable_ipv6"
    ));
}

/// A configuration in the newest version, with the result of an earlier plugin.
pub(crate) fn conf(keys: Value) -> Value {
    conf_in("1.1.0", keys)
}

pub(crate) fn conf_in(version: &str, keys: Value) -> Value {
    let mut conf = json!({"cniVersion": version, "name": "net", "type": "bandwidth"});
    conf["prevResult"] = previous(version, HOST_END, "eth0", "one");
    for (key, value) in keys.as_object().unwrap() {
        conf[key] = value.clone();
    }
    conf
}

/// What the earlier plugin answered.
pub(crate) fn previous(version: &str, outside: &str, inside: &str, pod: &str) -> Value {
    let mut result = json!({
        "cniVersion": version,
        "interfaces": [
            {"name": outside, "mac": "02:00:00:00:00:01"},
            {"name": inside, "mac": "02:00:00:00:00:02", "sandbox": format!("/run/netns/{pod}")},
        ],
        "ips": [{"address": "10.1.0.2/24", "interface": 1}],
        "dns": {},
    });
    if version < "1.0.0" {
        result["ips"][0]["version"] = json!("4");
    }
    result
}

/// 8 Mbit/s to the pod, 16 from it; bursts of 20,000 and 40,000 bytes.
pub(crate) fn both() -> Value {
    json!({"ingressRate": 8_000_000, "ingressBurst": 160_000,
        "egressRate": 16_000_000, "egressBurst": 320_000})
}
