//! What the tests of tuning have in common.

use netloom_testkit::{Host, Plugin, PluginDir, Pod, Snapshot};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// The MAC address that the earlier plugin gave the interface.
pub(crate) const MAC: &str = "02:00:00:00:00:70";
/// The one that the tests ask for.
pub(crate) const OTHER_MAC: &str = "02:00:00:00:00:71";
/// Where backups are.
pub(crate) const STATE: &str = "/run/cni/tuning";

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
            plugin: Plugin::ours(&plugins, "tuning"),
            host,
            _plugins: plugins,
        })
    }

    /// A pod with an interface `eth0` that is up, as an earlier plugin of the chain leaves it.
    pub(crate) fn pod(&self, name: &str) -> Pod {
        pod(&self.host, name)
    }

    /// Everything but directories that stay.
    pub(crate) fn snapshot(&self, pods: &[&Pod]) -> Snapshot {
        Snapshot::take(&self.host, pods).without_shared(&[])
    }
}

pub(crate) fn pod(host: &Host, name: &str) -> Pod {
    let pod = host.pod(name);
    host.ip(&format!(
        "link add host-{name} type veth peer name eth0 address {MAC} netns {name}"
    ));
    host.ip(&format!("link set host-{name} up"));
    pod.ip("link set eth0 up");
    // Addresses of their own would come and go while snapshots are taken.
    pod.sh("echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6");
    pod
}

/// A configuration in the newest version.
pub(crate) fn conf(keys: Value) -> Value {
    conf_in("1.1.0", keys)
}

/// A configuration with a result of an earlier plugin.
pub(crate) fn conf_in(version: &str, keys: Value) -> Value {
    let mut conf = json!({"cniVersion": version, "name": "net", "type": "tuning"});
    conf["prevResult"] = previous(version, "one");
    for (key, value) in keys.as_object().unwrap() {
        conf[key] = value.clone();
    }
    conf
}

/// What the earlier plugin answered for a pod. The host has an interface of the same name.
pub(crate) fn previous(version: &str, pod: &str) -> Value {
    let address = json!({"address": "10.1.0.5/24", "interface": 1});
    match version {
        "0.1.0" | "0.2.0" => json!({"cniVersion": version, "ip4": {"ip": "10.1.0.5/24"}}),
        _ => {
            let mut result = json!({
                "cniVersion": version,
                "interfaces": [
                    {"name": "eth0", "mac": "02:00:00:00:00:01"},
                    {"name": "eth0", "mac": MAC, "sandbox": format!("/run/netns/{pod}")},
                ],
                "ips": [address],
                "dns": {},
                "of.somebody/else": [1],
            });
            if version < "1.0.0" {
                result["ips"][0]["version"] = json!("4");
            }
            result
        }
    }
}

/// What `ip -j -d link` says of the pod's interface.
pub(crate) fn eth0(pod: &Pod) -> Value {
    let listed: Value = serde_json::from_str(&pod.ip("-j -d link show eth0")).unwrap();
    listed[0].clone()
}

pub(crate) fn has_flag(link: &Value, flag: &str) -> bool {
    link["flags"].as_array().unwrap().contains(&json!(flag))
}

/// A sysctl of the pod.
pub(crate) fn sysctl(pod: &Pod, key: &str) -> String {
    pod.run(|| fs::read_to_string(format!("/proc/sys/{key}")))
        .unwrap()
        .trim_end()
        .to_owned()
}

/// The file of a pod.
pub(crate) fn file(pod: &Pod) -> PathBuf {
    PathBuf::from(STATE).join(format!("{}_eth0.json", pod.container_id()))
}

/// The names in the directory of backups.
pub(crate) fn files() -> Vec<String> {
    let Ok(entries) = fs::read_dir(STATE) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Every attribute of the interface.
pub(crate) fn everything() -> Value {
    json!({"mac": OTHER_MAC, "mtu": 1400, "promisc": true, "allmulti": true, "txQLen": 77})
}
