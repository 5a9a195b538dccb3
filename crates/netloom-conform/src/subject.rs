//! What is tested, and what it needs.

use std::path::PathBuf;

use netloom_spec::Version;
use serde_json::{Value, json};

use crate::class::Class;

/// A plugin, its configuration, and the host that it needs.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) plugin: PathBuf,
    /// The plugin's object in a configuration, without `name` and `cniVersion`.
    pub(crate) conf: Value,
    pub(crate) class: Class,
    /// Where delegates are, behind the kit's own.
    pub(crate) path: Vec<PathBuf>,
    /// Files to be made on each host.
    pub(crate) files: Vec<(String, String)>,
    /// A line for a shell, run on each host.
    pub(crate) setup: Option<String>,
    /// There can be one attachment at a time.
    pub(crate) is_single: bool,
    /// Why ADD cannot work here, though the plugin is not to blame.
    pub(crate) lacks: Option<String>,
    /// How ADD failed, though it could have worked.
    pub(crate) broken: Option<String>,
    /// The versions of the specification that it speaks.
    pub(crate) versions: Vec<Version>,
}

impl Subject {
    /// The newest version that it speaks.
    pub(crate) fn version(&self) -> Version {
        self.versions
            .iter()
            .max()
            .copied()
            .unwrap_or(Version::V1_0_0)
    }

    pub(crate) fn speaks(&self, version: Version) -> bool {
        self.versions.contains(&version)
    }

    /// The configuration as a runtime sends it.
    pub(crate) fn conf(&self, version: Version) -> Value {
        let mut conf = self.conf.clone();
        conf["cniVersion"] = json!(version.as_str());
        conf["name"] = json!(NETWORK);
        conf
    }

    /// Whether the plugin asks an IPAM plugin, as its configuration says.
    pub(crate) fn has_ipam(&self) -> bool {
        self.ipam().is_some()
    }

    /// The place of `ipam` in the configuration.
    pub(crate) fn ipam_of<'c>(&self, conf: &'c mut Value) -> Option<&'c mut Value> {
        let place = match self.class {
            Class::Interface => Some(conf),
            Class::Meta => conf.get_mut("delegate"),
            Class::Chained | Class::Ipam => None,
        };
        place?.get_mut("ipam").filter(|it| it.is_object())
    }

    fn ipam(&self) -> Option<Value> {
        self.ipam_of(&mut self.conf.clone()).cloned()
    }
}

/// The name of the network.
pub(crate) const NETWORK: &str = "conform";
