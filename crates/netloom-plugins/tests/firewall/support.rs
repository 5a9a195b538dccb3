//! A host with bridges made by netloom's own plugin, on which the firewall is put.

use netloom_testkit::{Host, Plugin, PluginDir, Pod, Uplink, probe, skip};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;

pub(crate) const BOTH: [&str; 2] = ["nftables", "iptables"];

pub(crate) struct Lab {
    pub(crate) firewall: Plugin,
    pub(crate) bridge: Plugin,
    pub(crate) portmap: Plugin,
    pub(crate) host: Host,
    _plugins: Arc<PluginDir>,
}

pub(crate) fn plugin_dir() -> Arc<PluginDir> {
    Arc::new(PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins")))
}

impl Lab {
    fn new(plugins: Arc<PluginDir>) -> Option<Self> {
        let host = Host::new()?;
        Some(Self {
            firewall: Plugin::ours(&plugins, "firewall"),
            bridge: Plugin::ours(&plugins, "bridge"),
            portmap: Plugin::ours(&plugins, "portmap"),
            host,
            _plugins: plugins,
        })
    }

    /// For a packet filter that this machine may lack.
    pub(crate) fn with(backend: &str) -> Option<Self> {
        Self::with_plugins(backend, plugin_dir())
    }

    /// With a directory of plugins that outlives it.
    pub(crate) fn with_plugins(backend: &str, plugins: Arc<PluginDir>) -> Option<Self> {
        let lab = Self::new(plugins)?;
        let missing = match backend {
            "iptables" => !probe::has_iptables(),
            _ => !probe::has_nft_family("inet"),
        };
        if missing {
            skip(&format!("no {backend} on this machine"));
            return None;
        }
        Some(lab)
    }

    /// Joins a pod to a bridge, and gives the result of that.
    pub(crate) fn wire(&self, pod: &Pod, bridge: &str, subnet: u8) -> Value {
        self.bridge.add(&wiring(bridge, subnet), pod).succeeds()
    }

    /// All rules of all packet filters.
    pub(crate) fn rules(&self) -> String {
        let iptables = match probe::has_iptables() {
            true => "; iptables-save; ip6tables-save",
            false => "",
        };
        self.host.sh(&format!("nft list ruleset{iptables}"))
    }

    /// What attachments own: elements, rules of an address, chains that tell whose they are.
    pub(crate) fn traces(&self) -> String {
        let rules = self.rules();
        let own = |line: &&str| {
            line.contains(", if: ")
                || line.contains("-A CNI-FORWARD -") && !line.contains("CNI firewall plugin")
                || line.contains("CNI-FW-")
        };
        let mut lines: Vec<_> = rules.lines().filter(own).collect();
        lines.dedup();
        lines.join("\n")
    }
}

/// The configuration of the bridge plugin: dual stack, default routes, masquerade by nf_tables.
fn wiring(bridge: &str, subnet: u8) -> Value {
    json!({
        "cniVersion": "1.0.0", "name": format!("wire{subnet}"), "type": "bridge", "bridge": bridge,
        "isDefaultGateway": true, "ipMasq": true, "ipMasqBackend": "nftables",
        "ipam": {"type": "host-local", "ranges": [
            [{"subnet": format!("10.{subnet}.0.0/24")}], [{"subnet": format!("fd00:{subnet}::/64")}],
        ]},
    })
}

/// A configuration of the firewall behind what `wire` gave.
pub(crate) fn conf(backend: &str, result: &Value, keys: Value) -> Value {
    let mut conf = json!({
        "cniVersion": "1.0.0", "name": "net", "type": "firewall", "backend": backend,
        "prevResult": result,
    });
    for (key, value) in keys.as_object().unwrap() {
        conf[key] = value.clone();
    }
    conf
}

/// A result with an address of each family, as an earlier plugin may have made it.
pub(crate) fn result(last: u8) -> Value {
    json!({
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "br0"}, {"name": "eth0", "sandbox": "/run/netns/one"}],
        "ips": [
            {"address": format!("10.1.0.{last}/24"), "interface": 1},
            {"address": format!("fd00:1::{last}/64"), "interface": 1},
        ],
    })
}

/// The addresses of a result.
pub(crate) fn ips(result: &Value) -> Vec<IpAddr> {
    let ips = result["ips"].as_array().unwrap().iter();
    let bare = |ip: &Value| {
        ip["address"]
            .as_str()
            .unwrap()
            .split('/')
            .next()
            .unwrap()
            .to_owned()
    };
    ips.map(|ip| bare(ip).parse().unwrap()).collect()
}

/// Whether the pod gets through to the outside, by each family.
pub(crate) fn gets_out(pod: &Pod, uplink: &Uplink) -> [bool; 2] {
    let reaches = |at: IpAddr| pod.source_seen_by(&uplink.outside, at).is_ok();
    // Both at once: what does not answer takes its time.
    std::thread::scope(|scope| {
        let tries = Uplink::SERVER.map(|at| scope.spawn(move || reaches(at)));
        tries.map(|one| one.join().unwrap())
    })
}
