//! The bridge plugin's configuration as it is in the JSON.

use crate::wiring::dns::OwnDns;
use crate::wiring::mac::{self, WithMac};
use netloom_spec::{Error, Mac, PluginConf};
use serde::Deserialize;

/// The bridge that is used when the configuration names none.
const DEFAULT_BRIDGE: &str = "cni0";

/// The name in a configuration, or the default one.
pub(super) fn bridge_name(conf: &PluginConf) -> &str {
    let named = conf.get("bridge").and_then(|name| name.as_str());
    named.filter(|it| !it.is_empty()).unwrap_or(DEFAULT_BRIDGE)
}

/// Upstream's keys, unvalidated.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Config {
    pub(super) bridge: String,
    pub(super) is_gateway: bool,
    pub(super) is_default_gateway: bool,
    pub(super) force_address: bool,
    pub(super) ip_masq: bool,
    pub(super) ip_masq_backend: Option<String>,
    pub(super) mtu: i64,
    pub(super) hairpin_mode: bool,
    pub(super) promisc_mode: bool,
    pub(super) vlan: i64,
    /// An empty list asks for a bridge that filters VLANs, too.
    pub(super) vlan_trunk: Option<Vec<Trunk>>,
    pub(super) preserve_default_vlan: bool,
    #[serde(rename = "macspoofchk")]
    pub(super) mac_spoof_check: bool,
    #[serde(rename = "enabledad")]
    pub(super) enable_dad: bool,
    pub(super) disable_container_interface: bool,
    pub(super) port_isolation: bool,
    pub(super) dns: OwnDns,
    args: Args,
    runtime_config: WithMac,
}

/// One entry of `vlanTrunk`: a range, a single id, or both.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Trunk {
    #[serde(rename = "minID")]
    pub(super) min_id: Option<i64>,
    #[serde(rename = "maxID")]
    pub(super) max_id: Option<i64>,
    pub(super) id: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Args {
    cni: WithMac,
}

impl Config {
    /// Reads the configuration; an empty bridge name means the default one.
    pub(super) fn parse(conf: &PluginConf) -> Result<Self, Error> {
        let mut config: Self = conf.decode()?;
        if config.bridge.is_empty() {
            DEFAULT_BRIDGE.clone_into(&mut config.bridge);
        }
        Ok(config)
    }

    /// The container interface's MAC address: `runtimeConfig.mac` wins over `args.cni.mac`, which
    /// wins over `MAC` of `CNI_ARGS`.
    pub(super) fn mac(&self, cni_args: &str) -> Result<Option<Mac>, Error> {
        let from_args = mac::of_cni_args(cni_args)?;
        mac::first([&self.runtime_config.mac, &self.args.cni.mac, &from_args])
    }
}
