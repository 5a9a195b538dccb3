//! The configuration of macvlan, and what ADD is going to do about it.

use crate::wiring::choice::Choice;
use crate::wiring::dns::OwnDns;
use crate::wiring::mac::{self, WithMac};
use crate::wiring::mtu;
use crate::wiring::place::Place;
use netloom_kernel::rtnl::{MacvlanMode, MacvlanOptions};
use netloom_spec::{Dns, Error, Mac, PluginConf};
use serde::Deserialize;

/// The modes by name.
const MODES: Choice<MacvlanMode> = Choice {
    what: "macvlan mode",
    words: &[
        ("bridge", MacvlanMode::Bridge),
        ("private", MacvlanMode::Private),
        ("vepa", MacvlanMode::Vepa),
        ("passthru", MacvlanMode::Passthru),
    ],
};

/// Upstream's keys, unvalidated.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    master: String,
    mode: String,
    mtu: i64,
    mac: String,
    link_in_container: bool,
    #[serde(rename = "bcqueuelen")]
    broadcast_queue_len: u32,
    dns: OwnDns,
    runtime_config: WithMac,
}

/// A valid request, as far as that can be known without the kernel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Name of the master; the link of the default route when absent.
    pub(super) master: Option<String>,
    /// Whether the master is in the host's namespace or in the pod's.
    pub(super) place: Place,
    /// Mode, and length of the queue for broadcasts.
    pub(super) options: MacvlanOptions,
    /// In bytes; 0 is the master's MTU. It cannot be larger than that.
    pub(super) mtu: u32,
    /// The pod's MAC address; the kernel's choice when absent.
    pub(super) mac: Option<Mac>,
    /// Replaces the DNS of the IPAM plugin.
    pub(super) dns: Option<Dns>,
}

impl Plan {
    /// Validates the request; nothing has been touched when this fails.
    pub(super) fn new(conf: &PluginConf, cni_args: &str) -> Result<Self, Error> {
        let config: Config = conf.decode()?;
        Ok(Self {
            options: MacvlanOptions {
                mode: MODES.read(&config.mode)?.unwrap_or_default(),
                broadcast_queue_len: Some(config.broadcast_queue_len).filter(|length| *length != 0),
            },
            mac: mac::requested(&config.runtime_config, cni_args, &config.mac)?,
            master: Some(config.master).filter(|name| !name.is_empty()),
            place: Place::new(config.link_in_container),
            mtu: mtu::read_of_upper(config.mtu)?,
            dns: config.dns.replacement(),
        })
    }
}

/// The name of a mode.
pub(super) fn mode_name(mode: MacvlanMode) -> &'static str {
    MODES.word(mode).unwrap_or("source")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(keys: &str, args: &str) -> Result<Plan, Error> {
        let json = format!(r#"{{"name": "n", "type": "macvlan"{keys}}}"#);
        Plan::new(&PluginConf::parse(json.as_bytes()).unwrap(), args)
    }

    #[test]
    fn without_keys_it_is_a_bridge_on_the_default_route() {
        let plan = plan("", "").unwrap();
        assert_eq!(plan.options, MacvlanOptions::from(MacvlanMode::Bridge));
        assert_eq!((plan.master, plan.place), (None, Place::Host));
        assert_eq!((plan.mtu, plan.mac, plan.dns), (0, None, None));
    }

    #[test]
    fn every_mode_has_its_name_and_others_are_refused() {
        for (name, mode) in MODES.words {
            let plan = plan(&format!(r#", "MODE": "{name}""#), "").unwrap();
            assert_eq!((plan.options.mode, mode_name(*mode)), (*mode, *name));
        }
        let error = plan(r#", "mode": "source""#, "").unwrap_err();
        assert_eq!(error.code, netloom_spec::code::INVALID_CONFIG);
        assert!(error.msg.starts_with("unknown macvlan mode: \"source\""));
    }

    #[test]
    fn a_queue_length_of_zero_is_the_kernels_and_a_negative_one_is_refused() {
        let length = |n: &str| {
            plan(&format!(r#", "bcqueuelen": {n}"#), "").map(|p| p.options.broadcast_queue_len)
        };
        assert_eq!(length("0"), Ok(None));
        assert_eq!(length("4294967295"), Ok(Some(u32::MAX)));
        assert!(length("-1").is_err() && length("4294967296").is_err());
    }
    #[test]
    fn an_mtu_that_no_master_allows_is_refused_before_one_is_looked_for() {
        let mtu = |mtu: i64| plan(&format!(r#", "mtu": {mtu}"#), "").map(|plan| plan.mtu);
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
