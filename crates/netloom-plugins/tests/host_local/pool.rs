//! A network with a directory of its own.

use netloom_testkit::{Call, Outcome, Plugin, PluginDir};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The network `blue`, served by netloom's host-local unless another is named.
pub(crate) struct Pool {
    plugins: PluginDir,
    data: TempDir,
    ranges: Value,
}

impl Pool {
    /// `ranges` as in a configuration.
    pub(crate) fn new(ranges: Value) -> Self {
        Self {
            plugins: PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins")),
            data: tempfile::tempdir().unwrap(),
            ranges,
        }
    }

    pub(crate) fn ipv4(subnet: &str) -> Self {
        Self::new(json!([[{ "subnet": subnet }]]))
    }

    pub(crate) fn dual_stack() -> Self {
        Self::new(json!([[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00::/64"}]]))
    }

    pub(crate) fn ours(&self) -> Plugin {
        Plugin::ours(&self.plugins, "host-local")
    }

    pub(crate) fn conf(&self) -> Value {
        json!({
            "cniVersion": "1.1.0",
            "name": "blue",
            "type": "bridge",
            "ipam": {
                "type": "host-local",
                "dataDir": self.data.path(),
                "ranges": self.ranges,
            },
        })
    }

    pub(crate) fn add(&self, id: &str) -> Outcome {
        self.call("ADD", id).run()
    }

    pub(crate) fn del(&self, id: &str) -> Outcome {
        self.call("DEL", id).run()
    }

    pub(crate) fn call(&self, command: &str, id: &str) -> Call {
        self.call_of(&self.ours(), command, id, &self.conf())
    }

    pub(crate) fn call_with(&self, command: &str, id: &str, conf: &Value) -> Call {
        self.call_of(&self.ours(), command, id, conf)
    }

    pub(crate) fn call_of(&self, plugin: &Plugin, command: &str, id: &str, conf: &Value) -> Call {
        // Go's fits 1.0.0 at most.
        let mut conf = conf.clone();
        if plugin.program().starts_with(netloom_testkit::DEBIAN_DIR) {
            conf["cniVersion"] = json!("1.0.0");
        }
        plugin
            .call(command, &conf)
            .env("CNI_CONTAINERID", id)
            .env("CNI_IFNAME", "eth0")
            .env("CNI_NETNS", "/var/run/netns/of-nobody")
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.data.path()
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.data.path().join("blue")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.data.path().join(".netloom/blue")
    }

    /// Writes a file as somebody else would.
    pub(crate) fn write(&self, name: &str, content: &str) {
        fs::create_dir_all(self.directory()).unwrap();
        fs::write(self.directory().join(name), content).unwrap();
    }

    /// What is reserved: address and content of its file.
    pub(crate) fn reserved(&self) -> BTreeMap<String, String> {
        let Ok(entries) = fs::read_dir(self.directory()) else {
            return BTreeMap::new();
        };
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.parse::<std::net::IpAddr>().is_ok())
            // Another thread's DEL may come first.
            .filter_map(|name| {
                let content = fs::read_to_string(self.directory().join(&name)).ok()?;
                Some((name, content))
            })
            .collect()
    }

    /// The addresses of one attachment.
    pub(crate) fn of(&self, id: &str) -> BTreeSet<String> {
        let content = format!("{id}\r\neth0");
        self.reserved()
            .into_iter()
            .filter(|(_, c)| *c == content)
            .map(|(name, _)| name)
            .collect()
    }

    /// The links of the index, which must be what the reservations say.
    pub(crate) fn links(&self) -> BTreeMap<String, String> {
        let Ok(entries) = fs::read_dir(self.index()) else {
            return BTreeMap::new();
        };
        entries
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_type().unwrap().is_symlink())
            .map(|entry| {
                let target = fs::read_link(entry.path()).unwrap();
                let name = entry.file_name().into_string().unwrap();
                (name, target.to_str().unwrap().to_owned())
            })
            .collect()
    }

    /// Asserts that the index has exactly the links that the reservations call for.
    #[track_caller]
    pub(crate) fn assert_index_is_right(&self) {
        let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, content) in self.reserved() {
            let (id, if_name) = content.split_once("\r\n").unwrap_or((&content, ""));
            expected
                .entry(format!("{id}:{if_name}"))
                .or_default()
                .push(name);
        }
        let expected: BTreeMap<String, String> = expected
            .into_iter()
            .map(|(owner, names)| (owner, names.join(",")))
            .collect();
        assert_eq!(self.links(), expected);
    }
}

/// The addresses of a result.
pub(crate) fn addresses(result: &Value) -> Vec<String> {
    let ips = result["ips"].as_array().unwrap();
    ips.iter()
        .map(|ip| ip["address"].as_str().unwrap().to_owned())
        .collect()
}

/// The only address of a result, without its prefix length.
pub(crate) fn address(result: &Value) -> String {
    let addresses = addresses(result);
    assert_eq!(addresses.len(), 1, "{result}");
    addresses[0].split_once('/').unwrap().0.to_owned()
}
