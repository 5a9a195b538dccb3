//! The configuration of vlan, and what ADD is going to do about it.

use crate::wiring::dns::OwnDns;
use crate::wiring::mtu;
use crate::wiring::place::Place;
use crate::wiring::setup_error::invalid;
use crate::wiring::single_link::require_ipam;
use crate::wiring::vlan_id;
use netloom_spec::{Dns, Error, PluginConf};
use serde::Deserialize;

/// The keys as they come over the wire.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    master: String,
    vlan_id: i64,
    mtu: i64,
    link_in_container: bool,
    dns: OwnDns,
}

/// A valid request, as far as that can be known without the kernel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The link whose VLAN it is.
    pub(super) master: String,
    /// Where the master is.
    pub(super) place: Place,
    /// The number of the VLAN.
    pub(super) id: u16,
    /// In bytes, 0 for the master's; its limit is the master's.
    pub(super) mtu: u32,
    /// Replaces the DNS of the IPAM plugin.
    pub(super) dns: Option<Dns>,
}

impl Plan {
    /// Validates the configuration; nothing has been touched when this fails.
    pub(super) fn new(conf: &PluginConf) -> Result<Self, Error> {
        let config: Config = conf.decode()?;
        if config.master.is_empty() {
            return Err(invalid(
                "\"master\" field is required. It specifies the interface to create the VLAN on",
            ));
        }
        require_ipam("vlan", conf.ipam_type())?;
        Ok(Self {
            master: config.master,
            place: Place::new(config.link_in_container),
            id: vlan_id::read(config.vlan_id)?,
            mtu: mtu::read_of_upper(config.mtu)?,
            dns: config.dns.replacement(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(keys: &str) -> Result<Plan, Error> {
        let json =
            format!(r#"{{"name": "n", "type": "vlan"{keys}, "ipam": {{"type": "static"}}}}"#);
        Plan::new(&PluginConf::parse(json.as_bytes()).unwrap())
    }

    #[test]
    fn every_number_of_a_vlan_is_taken_and_no_other() {
        let id = |id: &str| plan(&format!(r#", "master": "up0", "vlanId": {id}"#)).map(|p| p.id);
        assert_eq!(plan(r#", "master": "up0""#).unwrap().id, 0);
        assert_eq!((id("0"), id("1"), id("4094")), (Ok(0), Ok(1), Ok(4094)));
        for (bad, code) in [
            ("-1", 7),
            ("4095", 7),
            ("65637", 7),
            ("1.5", 7),
            ("\"5\"", 6),
        ] {
            assert_eq!(id(bad).unwrap_err().code, code, "{bad}");
        }
    }

    #[test]
    fn a_master_and_ipam_are_required() {
        let error = plan("").unwrap_err();
        assert!(
            error.msg.starts_with("\"master\" field is required"),
            "{error}"
        );
        let conf = PluginConf::parse(br#"{"name": "n", "type": "vlan", "master": "up0"}"#).unwrap();
        let error = Plan::new(&conf).unwrap_err();
        assert!(error.msg.contains("ipam.type"), "{error}");
    }
    #[test]
    fn an_mtu_that_no_master_allows_is_refused_before_one_is_looked_for() {
        let mtu =
            |mtu: i64| plan(&format!(r#", "master": "up0", "mtu": {mtu}"#)).map(|plan| plan.mtu);
        assert_eq!((mtu(0), mtu(68), mtu(9000)), (Ok(0), Ok(68), Ok(9000)));
        for bad in [-1, 1, 67, 1 << 32] {
            let error = mtu(bad).unwrap_err();
            assert_eq!(error.code, netloom_spec::code::INVALID_CONFIG);
            assert!(
                error.msg.starts_with(&format!("invalid MTU {bad} ")),
                "{error}"
            );
        }
    }
}
