//! What macvlan, ipvlan, vlan and dummy have in common: one link in the pod.

#![allow(dead_code, reason = "each test program uses some of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub(crate) mod every;
pub(crate) mod faults;

use netloom_testkit::{Call, Host, Outcome, Plugin, PluginDir, Pod, Snapshot, Uplink, probe, skip};
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;

/// Every version of the specification.
pub(crate) const VERSIONS: [&str; 7] = [
    "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0",
];

/// The plugin under test.
#[derive(Clone, Copy)]
pub(crate) struct Subject {
    /// Its name.
    pub(crate) name: &'static str,
    /// The kind of link it needs, as `ip link` calls it.
    pub(crate) kind: &'static str,
    /// Its keys in a good configuration, without `ipam`.
    pub(crate) keys: fn() -> Value,
    /// The subnet of its pods, IPv4 then IPv6, without the last number: the gateway is 1.
    pub(crate) subnets: [&'static str; 2],
    /// Prepares the outside world.
    pub(crate) outside: fn(&Lab),
}

/// A host with a way outside, and our plugins.
pub(crate) struct Lab {
    pub(crate) subject: Subject,
    pub(crate) plugin: Plugin,
    pub(crate) plugins: Arc<PluginDir>,
    pub(crate) uplink: Uplink,
    pub(crate) host: Host,
}

impl Lab {
    /// `None` where the machine cannot do it; the test then returns.
    pub(crate) fn new(subject: Subject) -> Option<Self> {
        Self::with_plugins(subject, plugin_dir())
    }

    pub(crate) fn with_plugins(subject: Subject, plugins: Arc<PluginDir>) -> Option<Self> {
        let host = Host::new()?;
        if !probe::has_link_kind(subject.kind) {
            skip(&format!("the kernel has no {} links", subject.kind));
            return None;
        }
        let lab = Self {
            subject,
            plugin: Plugin::ours(&plugins, subject.name),
            plugins,
            uplink: host.uplink(),
            host,
        };
        // The host's own IPv6 address works only once the link has a carrier.
        lab.host.sh("ping -n -q -c 1 -i 0.2 -w 5 2001:db8:51::1");
        (subject.outside)(&lab);
        Some(lab)
    }

    /// The subject's configuration without IPAM, with these keys on top.
    pub(crate) fn layer2(&self, keys: Value) -> Value {
        let base = json!({"cniVersion": "1.1.0", "name": "net", "type": self.subject.name});
        merged(merged(base, (self.subject.keys)()), keys)
    }

    /// With addresses of both families from host-local, and default routes.
    pub(crate) fn conf(&self, keys: Value) -> Value {
        let ranges: Vec<_> = self
            .subject
            .subnets
            .iter()
            .map(|subnet| json!([range(subnet)]))
            .collect();
        let routes = json!([{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]);
        let ipam = json!({"type": "host-local", "ranges": ranges, "routes": routes});
        merged(self.layer2(json!({"ipam": ipam})), keys)
    }

    /// With an IPv4 address alone, which needs no duplicate address detection.
    pub(crate) fn quick(&self, keys: Value) -> Value {
        let ranges = json!([[range(self.subject.subnets[0])]]);
        let ipam =
            json!({"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]});
        merged(self.layer2(json!({"ipam": ipam})), keys)
    }

    /// Gives the pod a link `up0` of its own to the outside world, which is 10.20.0.1 there. It has
    /// the index that the master on the host has there: an index says nothing by itself.
    pub(crate) fn master_in(&self, pod: &Pod) {
        let (inside, outside) = (pod.name(), self.uplink.outside.name());
        let index = self.host.sh("ip -o link show uplink0 | cut -d: -f1");
        let index = index.trim();
        self.host.ip(&format!(
            "link add up0 index {index} netns {inside} type veth peer name up1 netns {outside}"
        ));
        pod.ip("link set up0 up");
        let outside = &self.uplink.outside;
        outside.sh("ip link set up1 up; ip addr add 10.20.0.1/24 dev up1");
    }

    pub(crate) fn before(&self, pod: &Pod) -> Snapshot {
        Snapshot::take(&self.host, &[pod]).without_shared(&[])
    }

    #[track_caller]
    pub(crate) fn assert_as_before(&self, before: &Snapshot, pod: &Pod) {
        self.before(pod).assert_same_as(before);
    }

    /// Puts a program of a few lines of shell into `CNI_PATH`.
    pub(crate) fn install(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let program = self.plugins.path().join(name);
        fs::write(&program, format!("#!/bin/sh\n{script}")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// ADD by the subject with more variables.
    pub(crate) fn add_with(&self, conf: &Value, pod: &Pod, variables: &[(&str, &str)]) -> Outcome {
        let call = self.plugin.call("ADD", conf).pod(pod);
        let with = |call: Call, (key, value): &(&str, &str)| call.env(key, value);
        variables.iter().fold(call, with).run()
    }
}

pub(crate) fn plugin_dir() -> Arc<PluginDir> {
    Arc::new(PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins")))
}

fn range(subnet: &str) -> Value {
    let network = if subnet.contains(':') { "/64" } else { "0/24" };
    json!({
        "subnet": format!("{subnet}{network}"), "rangeStart": format!("{subnet}50"),
        "gateway": format!("{subnet}1"),
    })
}

/// `base` with the keys of `keys` set; `null` takes a key out.
pub(crate) fn merged(mut base: Value, keys: Value) -> Value {
    for (key, value) in keys.as_object().unwrap() {
        match value {
            Value::Null => drop(base.as_object_mut().unwrap().remove(key)),
            value => base[key] = value.clone(),
        }
    }
    base
}

/// The attributes that `ip -j -d link show` prints for the pod's `eth0`.
pub(crate) fn eth0(pod: &Pod) -> Value {
    let all: Vec<Value> = serde_json::from_str(&pod.ip("-j -d link show dev eth0")).unwrap();
    all.into_iter().next().unwrap()
}

/// The settings of the pod's link that belong to its kind.
pub(crate) fn info(pod: &Pod) -> Value {
    eth0(pod)["linkinfo"]["info_data"].clone()
}

/// The addresses that are reserved.
pub(crate) fn reserved() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/var/lib/cni/networks/net") else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "lock" && !name.starts_with("last_reserved_ip."))
        .collect();
    names.sort();
    names
}

/// A sysctl of the pod.
pub(crate) fn sysctl(pod: &Pod, key: &str) -> String {
    pod.sh(&format!("cat /proc/sys/{key}")).trim().to_owned()
}
