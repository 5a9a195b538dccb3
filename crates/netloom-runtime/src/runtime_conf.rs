//! What a runtime says about one attachment.

use std::path::PathBuf;

use netloom_spec::{ContainerId, IfName, NetworkName};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Error;

/// What a runtime says about one attachment. It must be the same for its ADD, CHECK and DEL.
///
/// ```
/// use netloom_runtime::RuntimeConf;
/// use serde_json::json;
///
/// let rt = RuntimeConf::new("0d5ee8", "/var/run/netns/blue", "eth0")
///     .arg("IgnoreUnknown", "1")
///     .capability("portMappings", json!([{"hostPort": 8080, "containerPort": 80}]));
/// assert_eq!(rt.args.len(), 1);
/// ```
/// As JSON its keys are those of the cache's files: `containerId`, `netns`, `ifName`, `cniArgs`, `capabilityArgs`;
/// and `cacheDir`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RuntimeConf {
    /// `CNI_CONTAINERID`: unique on the host.
    pub container_id: String,
    /// `CNI_NETNS`: path of the container's network namespace; may be empty for DEL, when the
    /// namespace is gone.
    pub netns: String,
    /// `CNI_IFNAME`: name of the interface inside the container.
    pub if_name: String,
    /// `CNI_ARGS`, in order.
    #[serde(rename = "cniArgs", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<(String, String)>,
    /// What the runtime offers for the capabilities of plugins. Each plugin gets, as
    /// `runtimeConfig`, those that its configuration declares.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub capability_args: Map<String, Value>,
    /// Where attachments are cached, if [`Cni`](crate::Cni) has no directory of its own. Prefer
    /// [`Cni::cache_dir`](crate::Cni::cache_dir): attachments in a directory named only here are
    /// invisible to GC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_dir: Option<PathBuf>,
}

impl RuntimeConf {
    /// An attachment without arguments.
    pub fn new(
        container_id: impl Into<String>,
        netns: impl Into<String>,
        if_name: impl Into<String>,
    ) -> Self {
        Self {
            container_id: container_id.into(),
            netns: netns.into(),
            if_name: if_name.into(),
            ..Self::default()
        }
    }

    /// Adds a pair to `CNI_ARGS`.
    #[must_use]
    pub fn arg(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.args.push((key.into(), value.into()));
        self
    }

    /// Offers `value` for the capability `name`.
    #[must_use]
    pub fn capability(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.capability_args.insert(name.into(), value.into());
        self
    }

    /// Checks the identity of an attachment to `network` before anything is done about it.
    pub(crate) fn check_identity(&self, network: &str) -> Result<(), Error> {
        ContainerId::new(&self.container_id).map_err(Error::Invalid)?;
        NetworkName::new(network).map_err(Error::Invalid)?;
        IfName::new(&self.if_name).map_err(Error::Invalid)?;
        Ok(())
    }
}
