//! The bridge plugin's configuration as it comes over the wire.

use crate::wiring::masquerade::BackendChoice;
use netloom_spec::{CniArgs, Error, PluginConf, code};
use serde::Deserialize;

/// The bridge that is used when the configuration names none.
const DEFAULT_BRIDGE: &str = "cni0";

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
    /// Present but empty still asks for a bridge that filters VLANs.
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

/// `dns` of the plugin's own configuration. A list that is present counts, even
/// when it is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OwnDns {
    nameservers: Option<Vec<String>>,
    domain: String,
    search: Option<Vec<String>>,
    options: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Args {
    cni: WithMac,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WithMac {
    mac: String,
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

    /// The container interface's MAC address as text: `runtimeConfig.mac` wins over
    /// `args.cni.mac`, which wins over `MAC` of `CNI_ARGS`.
    pub(super) fn mac(&self, cni_args: &str) -> Result<Option<String>, Error> {
        let args = CniArgs::parse(cni_args)?;
        args.known(&["MAC"])?;
        let from_args = args.get("MAC").unwrap_or_default();
        Ok([
            self.runtime_config.mac.as_str(),
            self.args.cni.mac.as_str(),
            from_args,
        ]
        .into_iter()
        .find(|mac| !mac.is_empty())
        .map(str::to_owned))
    }
}

impl OwnDns {
    /// The DNS settings that replace those of the IPAM plugin.
    pub(super) fn replacement(&self) -> Option<netloom_spec::Dns> {
        let given = self.nameservers.is_some()
            || self.search.is_some()
            || self.options.is_some()
            || !self.domain.is_empty();
        given.then(|| netloom_spec::Dns {
            nameservers: self.nameservers.clone().unwrap_or_default(),
            domain: self.domain.clone(),
            search: self.search.clone().unwrap_or_default(),
            options: self.options.clone().unwrap_or_default(),
        })
    }
}

/// A configuration error that names its field.
pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(code::INVALID_CONFIG, message)
}

/// What DEL needs of the configuration. It is read key by key: DEL must not fail because of
/// a key that it has no use for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remains {
    /// There may be a masquerade.
    pub(super) masquerade: Option<BackendChoice>,
    /// There may be a spoof check.
    pub(super) spoof_check: bool,
}

impl Remains {
    /// Never fails; a value that cannot be read counts as the one that means more to remove.
    pub(super) fn read(conf: &PluginConf) -> Self {
        let on = |key| {
            conf.get(key)
                .is_some_and(|value| *value != false && !value.is_null())
        };
        let backend = conf
            .get("ipMasqBackend")
            .and_then(serde_json::Value::as_str);
        let choice = BackendChoice::parse(backend).unwrap_or(BackendChoice::Any);
        Self {
            masquerade: on("ipMasq").then_some(choice),
            spoof_check: on("macspoofchk"),
        }
    }
}
