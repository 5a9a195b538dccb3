//! A host on which flanneld has got a subnet.

use netloom_testkit::{Call, Host, Outcome, Plugin, PluginDir, Pod, Snapshot};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

pub(crate) const ENV: &str = "/run/flannel/subnet.env";
pub(crate) const DATA: &str = "/var/lib/cni/flannel";

/// What flanneld writes for both families.
pub(crate) const DUAL: &str = "FLANNEL_NETWORK=10.244.0.0/16\n\
    FLANNEL_SUBNET=10.244.3.1/24\n\
    FLANNEL_IPV6_NETWORK=fd00:244::/48\n\
    FLANNEL_IPV6_SUBNET=fd00:244:0:3::1/64\n\
    FLANNEL_MTU=1450\n\
    FLANNEL_IPMASQ=true\n";

/// And for IPv4 alone.
pub(crate) const V4: &str = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.3.1/24\n\
    FLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";

pub(crate) struct Lab {
    pub(crate) flannel: Plugin,
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
    fs::create_dir_all("/run/flannel").unwrap();
    fs::write(ENV, DUAL).unwrap();
    Some(Lab {
        flannel: Plugin::ours(&plugins, "flannel"),
        host,
        plugins,
    })
}

/// The configuration with these keys on top.
pub(crate) fn conf(keys: Value) -> Value {
    let mut conf = json!({"cniVersion": "1.1.0", "name": "cbr0", "type": "flannel"});
    for (key, value) in keys.as_object().unwrap() {
        conf[key] = value.clone();
    }
    conf
}

impl Lab {
    pub(crate) fn call(&self, command: &str, pod: &Pod, if_name: &str, conf: &Value) -> Call {
        let call = self.flannel.call(command, conf).pod(pod);
        call.env("CNI_IFNAME", if_name)
    }

    pub(crate) fn add(&self, pod: &Pod) -> Value {
        self.flannel.add(&conf(json!({})), pod).succeeds()
    }

    pub(crate) fn del(&self, pod: &Pod) -> Outcome {
        self.flannel.del(&conf(json!({})), pod)
    }

    pub(crate) fn snapshot(&self, pods: &[&Pod]) -> Snapshot {
        Snapshot::take(&self.host, pods).without_shared(&["cni0"])
    }

    /// Puts a program of a few lines of shell into `CNI_PATH`.
    pub(crate) fn install(&self, name: &str, script: &str) {
        let program = self.plugins.path().join(name);
        fs::write(&program, format!("#!/bin/sh\n{script}")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// The names in a directory, but for host-local's own.
pub(crate) fn names(directory: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let own = |name: &String| name != "lock" && !name.starts_with("last_reserved_ip.");
    let mut names: Vec<_> = names.filter(own).collect();
    names.sort();
    names
}

pub(crate) fn reserved() -> Vec<String> {
    names("/var/lib/cni/networks/cbr0")
}

pub(crate) fn saved(name: &str) -> Value {
    serde_json::from_slice(&fs::read(format!("{DATA}/{name}")).unwrap()).unwrap()
}
