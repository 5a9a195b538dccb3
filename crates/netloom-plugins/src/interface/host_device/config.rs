//! The configuration as it comes over the wire.

use crate::wiring::dns::OwnDns;
use netloom_spec::PluginConf;
use serde::Deserialize;
use serde_json::Value;

/// Upstream's keys, unvalidated.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    pub(super) device: String,
    pub(super) hwaddr: String,
    pub(super) kernelpath: String,
    #[serde(rename = "pciBusID")]
    pub(super) pci_bus_id: String,
    /// No link is to be moved. Only for devices without `pciBusID`, whose driver decides.
    #[serde(rename = "dpdkMode")]
    pub(super) dpdk_mode: bool,
    pub(super) dns: OwnDns,
    #[serde(rename = "runtimeConfig")]
    pub(super) runtime_config: RuntimeConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RuntimeConfig {
    #[serde(rename = "deviceID")]
    pub(super) device_id: String,
}

impl Config {
    /// Whether any of the keys that tell the device is there.
    pub(super) fn names_a_device(&self) -> bool {
        let keys = [
            &self.device,
            &self.hwaddr,
            &self.kernelpath,
            &self.pci_bus_id,
        ];
        let allocated = &self.runtime_config.device_id;
        keys.into_iter()
            .chain([allocated])
            .any(|value| !value.is_empty())
    }

    /// What can be read of it: DEL must not fail because of a key that it has no use for.
    pub(super) fn lenient(conf: &PluginConf) -> Self {
        let text =
            |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        conf.decode().unwrap_or_else(|_| Self {
            device: text(conf.get("device")),
            hwaddr: text(conf.get("hwaddr")),
            kernelpath: text(conf.get("kernelpath")),
            pci_bus_id: text(conf.get("pciBusID")),
            runtime_config: RuntimeConfig {
                device_id: text(
                    conf.get("runtimeConfig")
                        .and_then(|own| own.get("deviceID")),
                ),
            },
            ..Self::default()
        })
    }
}
