//! What the tests of the bridge plugin have in common.

use netloom_testkit::{Host, Plugin, PluginDir, Pod};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tempfile::TempDir;

/// A host, our plugins, and an IPAM plugin that answers what the test wants.
pub(crate) struct Lab {
    pub(crate) bridge: Plugin,
    pub(crate) ipam: Ipam,
    pub(crate) host: Host,
    _plugins: PluginDir,
}

impl Lab {
    /// `None` where no host can be made; the test then returns.
    pub(crate) fn new() -> Option<Self> {
        let host = Host::new()?;
        let plugins = PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins"));
        let ipam = Ipam::install(&plugins);
        Some(Self {
            bridge: Plugin::ours(&plugins, "bridge"),
            ipam,
            host,
            _plugins: plugins,
        })
    }

    /// The bridge's configuration of version 1.1.0 with the given keys on top.
    pub(crate) fn conf(&self, keys: Value) -> Value {
        let base = json!({
            "cniVersion": "1.1.0", "name": "net", "type": "bridge", "bridge": "br0",
        });
        merged(base, keys)
    }

    /// The same with the fixed IPAM plugin.
    pub(crate) fn routed(&self, keys: Value) -> Value {
        merged(self.conf(json!({"ipam": {"type": "fixed"}})), keys)
    }

    /// The attributes that `ip -j -d link show dev NAME` prints for a link of the host.
    pub(crate) fn link(&self, name: &str) -> Value {
        first(&self.host.ip(&format!("-j -d link show dev {name}")))
    }

    /// The `ip -j -d link` attributes of the pod's `eth0`.
    pub(crate) fn eth0(&self, pod: &Pod) -> Value {
        first(&pod.ip("-j -d link show dev eth0"))
    }

    /// Whether the host has a link of that name.
    pub(crate) fn has_link(&self, name: &str) -> bool {
        self.host.ip("-o link").contains(&format!(" {name}:"))
            || self.host.ip("-o link").contains(&format!(" {name}@"))
    }

    /// The whole nf_tables ruleset as text.
    pub(crate) fn ruleset(&self) -> String {
        self.host.sh("nft list ruleset")
    }
}

/// The name of the host's end of the veth in a result.
pub(crate) fn host_veth(result: &Value) -> String {
    result["interfaces"][1]["name"].as_str().unwrap().to_owned()
}

/// `base` with the keys of `keys` set.
pub(crate) fn merged(mut base: Value, keys: Value) -> Value {
    for (key, value) in keys.as_object().unwrap() {
        base[key] = value.clone();
    }
    base
}

pub(crate) fn first(json: &str) -> Value {
    let all: Vec<Value> = serde_json::from_str(json).unwrap();
    all.into_iter()
        .find(|entry| entry.as_object().is_some_and(|o| !o.is_empty()))
        .unwrap()
}

/// An IPAM plugin of five lines of shell, which answers what it is told and writes down its calls.
pub(crate) struct Ipam {
    dir: TempDir,
}

impl Ipam {
    fn install(plugins: &PluginDir) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display().to_string();
        let script = format!(
            "#!/bin/sh\n\
             cat > {at}/stdin\n\
             echo \"$CNI_COMMAND\" >> {at}/calls\n\
             if [ -e {at}/fail-$CNI_COMMAND ]; then cat {at}/fail-$CNI_COMMAND; exit 1; fi\n\
             [ \"$CNI_COMMAND\" != ADD ] || cat {at}/result\n"
        );
        let program: PathBuf = plugins.path().join("fixed");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let ipam = Self { dir };
        ipam.answers(json!({"ips": [{"address": "10.1.0.5/24"}]}));
        ipam
    }

    /// What ADD answers from now on; `cniVersion` is 1.1.0 unless given.
    pub(crate) fn answers(&self, result: Value) {
        let result = merged(json!({"cniVersion": "1.1.0"}), result);
        fs::write(self.dir.path().join("result"), result.to_string()).unwrap();
    }

    /// Lets a command fail with this message from now on.
    pub(crate) fn fails(&self, command: &str, msg: &str) {
        let error = json!({"cniVersion": "1.1.0", "code": 123, "msg": msg});
        fs::write(
            self.dir.path().join(format!("fail-{command}")),
            error.to_string(),
        )
        .unwrap();
    }

    /// The commands called so far, and forgets them.
    pub(crate) fn calls(&self) -> Vec<String> {
        let file = self.dir.path().join("calls");
        let calls = fs::read_to_string(&file).unwrap_or_default();
        let _ = fs::remove_file(file);
        calls.lines().map(str::to_owned).collect()
    }

    /// The request of the last call.
    pub(crate) fn request(&self) -> Value {
        serde_json::from_slice(&fs::read(self.dir.path().join("stdin")).unwrap()).unwrap()
    }
}
