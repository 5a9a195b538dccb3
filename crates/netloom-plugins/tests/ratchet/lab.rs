//! A host on which pods are linked.

use netloom_testkit::{Call, Host, Outcome, Plugin, PluginDir, Pod, Snapshot};
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) const STORE: &str = "/var/lib/cni/netloom/ratchet/net";
/// Where host-local keeps reservations, unless it is told otherwise.
pub(crate) const ADDRESSES: &str = "/var/lib/cni/networks";

pub(crate) struct Lab {
    pub(crate) ratchet: Plugin,
    pub(crate) host: Host,
}

pub(crate) fn plugin_dir() -> Arc<PluginDir> {
    Arc::new(PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins")))
}

pub(crate) fn lab() -> Option<Lab> {
    let plugins = plugin_dir();
    // Their directory must live as long as the test.
    lab_with(Box::leak(Box::new(plugins)))
}

pub(crate) fn lab_with(plugins: &PluginDir) -> Option<Lab> {
    Some(Lab {
        host: Host::new()?,
        ratchet: Plugin::ours(plugins, "ratchet"),
    })
}

/// A link in a configuration.
pub(crate) fn link(peer: &str, if_name: &str, peer_if: &str, address: &str) -> Value {
    json!({"peer": peer, "if": if_name, "peerIf": peer_if, "addresses": [address]})
}

/// A chained configuration with these links told by the runtime.
pub(crate) fn conf(links: Value) -> Value {
    with(json!({"runtimeConfig": {"links": links}}))
}

/// The configuration with these keys on top.
pub(crate) fn with(keys: Value) -> Value {
    let prev = json!({"cniVersion": "1.1.0", "ips": [], "interfaces": []});
    let mut conf =
        json!({"cniVersion": "1.1.0", "name": "net", "type": "ratchet", "prevResult": prev});
    for (key, value) in keys.as_object().unwrap() {
        conf[key] = value.clone();
    }
    conf
}

/// The link of the tutorial, as `default/primary` and `default/pair` ask for it.
pub(crate) fn primary() -> Value {
    conf(json!([link(
        "default/pair",
        "in1",
        "in2",
        "192.168.2.100/24"
    )]))
}

pub(crate) fn pair() -> Value {
    conf(json!([link(
        "default/primary",
        "in2",
        "in1",
        "192.168.2.101/24"
    )]))
}

/// The configuration of [`primary`] with a delegate, which makes `eth0` from addresses of `dataDir`.
pub(crate) fn delegating(data_dir: &str) -> Value {
    let mut conf = primary();
    conf.as_object_mut().unwrap().remove("prevResult");
    let ipam = json!({"type": "host-local", "subnet": "10.9.0.0/16", "dataDir": data_dir});
    conf["delegate"] = json!({"type": "ptp", "ipam": ipam});
    conf
}

/// Both pods of the tutorial, linked; `conf` is the first one's.
pub(crate) fn linked(lab: &Lab, conf: &Value) -> (Pod, Pod) {
    let (one, two) = (lab.host.pod("primary"), lab.host.pod("pair"));
    lab.add(&one, conf);
    lab.add(&two, &pair());
    (one, two)
}

/// A pod of Kubernetes.
pub(crate) fn args(name: &str) -> String {
    format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={name}")
}

impl Lab {
    /// A call for a pod whose name in Kubernetes is that of its namespace.
    pub(crate) fn call(&self, command: &str, pod: &Pod, conf: &Value) -> Call {
        self.call_as(command, pod, pod.name(), conf)
    }

    pub(crate) fn call_as(&self, command: &str, pod: &Pod, name: &str, conf: &Value) -> Call {
        let call = self.ratchet.call(command, conf).pod(pod);
        call.env("CNI_ARGS", args(name))
    }

    pub(crate) fn add(&self, pod: &Pod, conf: &Value) -> Value {
        self.call("ADD", pod, conf).run().succeeds()
    }

    pub(crate) fn del(&self, pod: &Pod, conf: &Value) {
        self.call("DEL", pod, conf).run().succeeds_silently();
    }

    pub(crate) fn check(&self, pod: &Pod, conf: &Value) -> Outcome {
        self.call("CHECK", pod, conf).run()
    }

    pub(crate) fn snapshot(&self, pods: &[&Pod]) -> Snapshot {
        Snapshot::take(&self.host, pods).without_shared(&["cni0"])
    }

    /// Nothing is left but directories. What the kernel does in its own time is waited for.
    #[track_caller]
    pub(crate) fn assert_same(&self, before: &Snapshot, pods: &[&Pod]) {
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let now = self.snapshot(pods);
            let difference = now.difference_from(before);
            if difference.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "something is left:\n{difference}");
        }
    }
}

/// The names of the interfaces of a result.
pub(crate) fn interfaces(result: &Value) -> Vec<&str> {
    let listed = result["interfaces"].as_array().into_iter().flatten();
    let names = listed.map(|it| it["name"].as_str().unwrap());
    names.collect()
}

pub(crate) fn has(pod: &Pod, link: &str) -> bool {
    pod.ip("-o link").contains(&format!(" {link}@"))
}

/// The files of the store.
pub(crate) fn files() -> Vec<String> {
    let Ok(entries) = fs::read_dir(STORE) else {
        return Vec::new();
    };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}
