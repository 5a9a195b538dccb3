//! The wire JSON.

use netloom_spec::PluginConf;
use serde::Deserialize;

/// Upstream's keys, unvalidated.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Config {
    pub(super) backend: Option<String>,
    pub(super) snat: Option<bool>,
    pub(super) masq_all: bool,
    pub(super) mark_masq_bit: Option<i64>,
    pub(super) external_set_mark_chain: Option<String>,
    #[serde(rename = "conditionsV4")]
    pub(super) conditions_v4: Vec<String>,
    #[serde(rename = "conditionsV6")]
    pub(super) conditions_v6: Vec<String>,
    pub(super) runtime_config: RuntimeConfig,
}

/// What the runtime fills in for the capability `portMappings`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RuntimeConfig {
    pub(super) port_mappings: Vec<PortMapping>,
}

/// One entry of `portMappings`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PortMapping {
    pub(super) host_port: i64,
    pub(super) container_port: i64,
    pub(super) protocol: String,
    #[serde(rename = "hostIP")]
    pub(super) host_ip: String,
    /// How many ports, counted up from both; 0 is absent. Upstream does not know it.
    pub(super) range: i64,
}

impl Config {
    pub(super) fn read(conf: &PluginConf) -> Result<Self, netloom_spec::Error> {
        conf.decode()
    }
}
