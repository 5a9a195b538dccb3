//! The configuration as it comes over the wire.

use netloom_spec::{Error, PluginConf};
use serde::Deserialize;

/// The keys, in the configuration itself or in `runtimeConfig.bandwidth`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Entry {
    /// In bits per second, as all rates; 0: no limit.
    pub(super) ingress_rate: Option<u64>,
    /// In bits, as all bursts.
    pub(super) ingress_burst: Option<u64>,
    pub(super) egress_rate: Option<u64>,
    pub(super) egress_burst: Option<u64>,
    /// In milliseconds, as all latencies.
    pub(super) ingress_latency: Option<u64>,
    pub(super) egress_latency: Option<u64>,
    pub(super) unshaped_subnets: Option<Vec<String>>,
    pub(super) shaped_subnets: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Runtime {
    runtime_config: RuntimeConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RuntimeConfig {
    bandwidth: Entry,
}

impl Entry {
    /// What counts. One rate or burst in the configuration, a zero too, and none of the runtime's
    /// do; of the other keys those of the runtime count more.
    pub(super) fn read(conf: &PluginConf) -> Result<Self, Error> {
        let own: Self = conf.decode()?;
        let Runtime { runtime_config } = conf.decode()?;
        let runtime = runtime_config.bandwidth;
        let limits = if own.limits_anything() {
            &own
        } else {
            &runtime
        };
        Ok(Self {
            ingress_rate: limits.ingress_rate,
            ingress_burst: limits.ingress_burst,
            egress_rate: limits.egress_rate,
            egress_burst: limits.egress_burst,
            ingress_latency: runtime.ingress_latency.or(own.ingress_latency),
            egress_latency: runtime.egress_latency.or(own.egress_latency),
            unshaped_subnets: runtime.unshaped_subnets.or(own.unshaped_subnets),
            shaped_subnets: runtime.shaped_subnets.or(own.shaped_subnets),
        })
    }

    /// Whether the configuration has rates of its own, so that those of the runtime do not count.
    pub(super) fn limits_by_itself(conf: &PluginConf) -> Result<bool, Error> {
        Ok(conf.decode::<Self>()?.limits_anything())
    }

    fn limits_anything(&self) -> bool {
        let keys = [
            self.ingress_rate,
            self.ingress_burst,
            self.egress_rate,
            self.egress_burst,
        ];
        keys.iter().any(Option::is_some)
    }
}
