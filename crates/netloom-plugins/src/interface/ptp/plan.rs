//! The ptp plugin's configuration, and what ADD is going to do with it.

use crate::wiring::dns::OwnDns;
use crate::wiring::masquerade::BackendChoice;
use crate::wiring::setup_error::invalid;
use crate::wiring::veth;
use netloom_spec::{Dns, Error, PluginConf};
use serde::Deserialize;

/// Upstream's keys, unvalidated.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    ip_masq: bool,
    ip_masq_backend: Option<String>,
    mtu: i64,
    dns: OwnDns,
}

/// A valid request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// MTU of both ends of the veth.
    pub(super) mtu: Option<u32>,
    /// Masquerade what leaves the pod's subnet.
    pub(super) masquerade: Option<BackendChoice>,
    /// Replaces the DNS settings of the IPAM plugin.
    pub(super) dns: Option<Dns>,
}

impl Plan {
    /// Validates the configuration; nothing has been touched when this fails.
    pub(super) fn new(conf: &PluginConf) -> Result<Self, Error> {
        let config: Config = conf.decode()?;
        if conf.ipam_type().is_none() {
            return Err(invalid(
                "no plugin name provided: ptp needs \"ipam\" with a \"type\"",
            ));
        }
        let backend = BackendChoice::parse(config.ip_masq_backend.as_deref()).map_err(invalid)?;
        Ok(Self {
            mtu: veth::mtu(config.mtu)?,
            masquerade: config.ip_masq.then_some(backend),
            dns: config.dns.replacement(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str) -> Result<Plan, Error> {
        Plan::new(&PluginConf::parse(json.as_bytes()).unwrap())
    }

    #[test]
    fn a_configuration_without_ipam_is_refused() {
        let error = plan(r#"{"name": "n", "type": "ptp", "ipam": {}}"#).unwrap_err();
        assert_eq!(error.code, netloom_spec::code::INVALID_CONFIG);
        assert!(error.msg.contains("no plugin name provided"), "{error}");
    }

    #[test]
    fn values_are_checked_and_the_backend_even_when_unused() {
        let with = |keys: &str| {
            plan(&format!(
                r#"{{"name": "n", "type": "ptp", "ipam": {{"type": "static"}}, {keys}}}"#
            ))
        };
        assert!(with(r#""mtu": 1400, "IPMASQ": true"#).is_ok_and(|plan| {
            plan.mtu == Some(1400) && plan.masquerade == Some(BackendChoice::Any)
        }));
        let refused = |keys: &str| with(keys).unwrap_err().msg;
        assert!(refused(r#""mtu": 67"#).contains("invalid mtu 67"));
        assert!(refused(r#""ipMasqBackend": "ebtables""#).contains("\"ebtables\""));
    }
}
