//! What the tests of host-device have in common.

use netloom_testkit::{Host, Plugin, PluginDir, Pod, Snapshot};
use serde_json::{Value, json};
use std::fs;

/// The name of the device on the host.
pub(crate) const NIC: &str = "nic0";
/// Its hardware address.
pub(crate) const MAC: &str = "02:00:00:00:00:70";

/// A host with a device `nic0`, which is down, and our plugins. (Pods go before the host does.)
pub(crate) struct Lab {
    pub(crate) plugin: Plugin,
    /// Where the device leads to: 10.1.0.1 and fd00:1::1.
    pub(crate) outside: Pod,
    pub(crate) host: Host,
    _plugins: PluginDir,
}

impl Lab {
    /// `None` where no host can be made; the test then returns.
    pub(crate) fn new() -> Option<Self> {
        let host = Host::new()?;
        let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
        let outside = host.pod("outside");
        device(&host, &outside);
        Some(Self {
            plugin: Plugin::ours(&plugins, "host-device"),
            outside,
            host,
            _plugins: plugins,
        })
    }

    /// Everything on the host and in the pod, without what host-local keeps.
    pub(crate) fn snapshot(&self, pods: &[&Pod]) -> Snapshot {
        Snapshot::take(&self.host, pods).without_shared(&[])
    }

    /// What `ip -j -d link` says of a link of the host; `None` if there is none.
    pub(crate) fn link(&self, name: &str) -> Option<Value> {
        link_in(&self.host.ip("-j -d link"), name)
    }

    /// Asserts that the device is on the host under its name, down, without alias.
    #[track_caller]
    pub(crate) fn assert_returned(&self, case: &str) {
        let links = self.host.ip("-o link");
        let link = self.link(NIC);
        let link = link.unwrap_or_else(|| panic!("{case}: no {NIC} on the host:\n{links}"));
        assert_eq!(link["address"], MAC, "{case}");
        assert!(link.get("ifalias").is_none(), "{case}: {link}");
        assert!(!is_up(&link), "{case}: {link}");
    }

    /// Does what the kernel does with a device when its container dies: gives it to the host, down,
    /// under the name that it has.
    pub(crate) fn container_dies(&self, pod: &Pod, name: &str, name_on_host: &str) {
        pod.ip(&format!(
            "link set {name} netns {} name {name_on_host}",
            self.host.netns_path()
        ));
        pod.remove();
    }
}

/// Makes the device, and the network that it leads to.
pub(crate) fn device(host: &Host, outside: &Pod) {
    host.ip(&format!(
        "link add {NIC} address {MAC} type veth peer name wire netns outside"
    ));
    outside.ip("addr add 10.1.0.1/24 dev wire");
    outside.ip("addr add fd00:1::1/64 dev wire nodad");
    outside.ip("link set wire up");
}

pub(crate) fn link_in(listing: &str, name: &str) -> Option<Value> {
    let links: Vec<Value> = serde_json::from_str(listing).unwrap();
    links.into_iter().find(|link| link["ifname"] == name)
}

pub(crate) fn is_up(link: &Value) -> bool {
    link["flags"].as_array().unwrap().contains(&json!("UP"))
}

/// What `ip -j -d link` says of the pod's `eth0`.
pub(crate) fn eth0(pod: &Pod) -> Value {
    link_in(&pod.ip("-j -d link"), "eth0").unwrap()
}

/// By name, with an address from host-local.
pub(crate) fn conf(keys: Value) -> Value {
    let base = json!({
        "cniVersion": "1.1.0", "name": "net", "type": "host-device", "device": NIC,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.5"}]],
            "routes": [{"dst": "0.0.0.0/0"}]
        }
    });
    merged(base, keys)
}

/// Without IPAM; `null` takes a key out.
pub(crate) fn bare(keys: Value) -> Value {
    let base = json!({
        "cniVersion": "1.1.0", "name": "net", "type": "host-device", "device": NIC,
    });
    merged(base, keys)
}

pub(crate) fn merged(mut base: Value, keys: Value) -> Value {
    let members = base.as_object_mut().unwrap();
    for (key, value) in keys.as_object().unwrap() {
        if value.is_null() {
            members.remove(key);
        } else {
            members.insert(key.clone(), value.clone());
        }
    }
    base
}

/// The addresses that host-local has given away.
pub(crate) fn reserved() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/var/lib/cni/networks/net") else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("10."))
        .collect()
}

/// Puts files in the place of the host's buses: `nic0` as port of devices of every kind.
pub(crate) fn buses(host: &Host) {
    host.sh("mount -t tmpfs none /sys/bus && cd /sys/bus && \
         mkdir -p pci/drivers/e1000 pci/drivers/vfio-pci && \
         mkdir -p pci/devices/0000:00:05.0/net/nic0 pci/devices/0000:00:06.0/virtio3/net/nic0 && \
         mkdir -p pci/devices/0000:00:07.0 pci/devices/0000:00:08.0 && \
         mkdir -p auxiliary/devices/mlx5_core.sf.4/net/nic0 && \
         ln -s ../../drivers/e1000 pci/devices/0000:00:05.0/driver && \
         ln -s ../../drivers/e1000 pci/devices/0000:00:06.0/driver && \
         ln -s ../../drivers/vfio-pci pci/devices/0000:00:07.0/driver && \
         mount -t tmpfs none /sys/devices/virtual && mkdir -p /sys/devices/virtual/card/net/nic0");
}

/// Every way to tell the device, for a host with [`buses`].
pub(crate) fn selectors() -> Vec<Value> {
    let other = |key: &str, value: Value| json!({"device": null, key: value});
    vec![
        json!({}),
        json!({"device": "slot7"}),
        other("hwaddr", json!("02-00-00-00-00-70")),
        other("kernelpath", json!("/sys/devices/virtual/card")),
        other("pciBusID", json!("0000:00:05.0")),
        other("pciBusID", json!("0000:00:06.0")),
        other("runtimeConfig", json!({"deviceID": "0000:00:05.0"})),
        other("runtimeConfig", json!({"deviceID": "mlx5_core.sf.4"})),
    ]
}
