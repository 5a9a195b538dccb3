//! A network with a directory of its own.

use netloom_testkit::{Call, Outcome, Plugin, PluginDir};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv6Addr};
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
            .filter(|name| name.parse::<IpAddr>().is_ok())
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

    /// The file of the index that says who owns what.
    pub(crate) fn owners_file(&self) -> PathBuf {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        self.index().join(format!(".owners-{}", boot.trim()))
    }

    /// What the index has noted: the hash of an owner and an address, which is `::` where the
    /// owner's reservations are to be read.
    pub(crate) fn noted(&self) -> BTreeSet<(u64, IpAddr)> {
        let table = fs::read(self.owners_file()).unwrap_or_default();
        let entries = table.chunks_exact(32).map(|entry| {
            let (owner, rest) = entry.split_first_chunk().unwrap();
            let bits = u128::from_le_bytes(*rest.first_chunk::<16>().unwrap());
            (
                u64::from_le_bytes(*owner),
                IpAddr::from(Ipv6Addr::from_bits(bits)).to_canonical(),
            )
        });
        entries.filter(|(owner, _)| *owner != 0).collect()
    }

    /// Asserts that the index says what one would say that is made anew.
    #[track_caller]
    pub(crate) fn assert_index_is_right(&self) {
        let copy = Self {
            plugins: PluginDir::of(env!("CARGO_BIN_EXE_netloom-plugins")),
            data: tempfile::tempdir().unwrap(),
            ranges: self.ranges.clone(),
        };
        for (name, content) in self.reserved() {
            copy.write(&name, &content);
        }
        if copy.directory().exists() {
            copy.del("nobody-has-this-id").succeeds_silently();
        }
        assert_eq!(self.noted(), copy.noted());
        let addresses: BTreeSet<String> =
            self.noted().into_iter().map(|n| n.1.to_string()).collect();
        if !addresses.contains("::") {
            assert_eq!(addresses, self.reserved().into_keys().collect());
        }
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
