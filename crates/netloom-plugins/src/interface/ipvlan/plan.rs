//! The configuration of ipvlan, and what ADD is going to do about it.

use crate::wiring::choice::Choice;
use crate::wiring::dns::OwnDns;
use crate::wiring::mtu;
use crate::wiring::place::Place;
use netloom_kernel::rtnl::{IpvlanFlag, IpvlanMode, IpvlanOptions};
use netloom_spec::{Dns, Error, PluginConf};
use serde::Deserialize;

/// The modes by name.
pub(super) const MODES: Choice<IpvlanMode> = Choice {
    what: "ipvlan mode",
    words: &[
        ("l2", IpvlanMode::L2),
        ("l3", IpvlanMode::L3),
        ("l3s", IpvlanMode::L3s),
    ],
};

/// The flags by name.
pub(super) const FLAGS: Choice<IpvlanFlag> = Choice {
    what: "ipvlan flag",
    words: &[
        ("bridge", IpvlanFlag::Bridge),
        ("private", IpvlanFlag::Private),
        ("vepa", IpvlanFlag::Vepa),
    ],
};

/// The keys as they come over the wire.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    master: String,
    mode: String,
    flag: String,
    mtu: i64,
    link_in_container: bool,
    dns: OwnDns,
}

/// A valid request, as far as that can be known without the kernel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The master that the configuration names.
    pub(super) master: Option<String>,
    /// Where the master is.
    pub(super) place: Place,
    /// Mode and flag.
    pub(super) options: IpvlanOptions,
    /// In bytes; 0 is the master's. As in the reference it may be above that.
    pub(super) mtu: u32,
    /// Replaces the DNS of the IPAM plugin, or of the plugin before.
    pub(super) dns: Option<Dns>,
}

impl Plan {
    /// Validates the configuration; nothing has been touched when this fails.
    pub(super) fn new(conf: &PluginConf) -> Result<Self, Error> {
        let config: Config = conf.decode()?;
        Ok(Self {
            options: IpvlanOptions {
                mode: MODES.read(&config.mode)?.unwrap_or_default(),
                flag: FLAGS.read(&config.flag)?,
            },
            master: Some(config.master).filter(|name| !name.is_empty()),
            place: Place::new(config.link_in_container),
            mtu: mtu::read(config.mtu, mtu::LARGEST)?,
            dns: config.dns.replacement(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(keys: &str) -> Result<Plan, Error> {
        let json = format!(r#"{{"name": "n", "type": "ipvlan"{keys}}}"#);
        Plan::new(&PluginConf::parse(json.as_bytes()).unwrap())
    }

    #[test]
    fn without_keys_it_is_a_switch_on_a_master_that_is_not_named() {
        let plan = plan("").unwrap();
        assert_eq!(plan.options, IpvlanOptions::default());
        assert_eq!((plan.master, plan.place), (None, Place::Host));
        assert_eq!((plan.mtu, plan.dns), (0, None));
    }

    #[test]
    fn every_mode_and_flag_has_its_name_and_others_are_refused() {
        for (name, mode) in MODES.words {
            let plan = plan(&format!(r#", "Mode": "{name}""#)).unwrap();
            assert_eq!((plan.options.mode, plan.options.flag), (*mode, None));
            assert_eq!(MODES.word(*mode), Some(*name));
        }
        for (name, flag) in FLAGS.words {
            let plan = plan(&format!(r#", "flag": "{name}""#)).unwrap();
            assert_eq!(plan.options.flag, Some(*flag));
        }
        for (keys, start) in [
            (r#", "mode": "L2""#, "unknown ipvlan mode: \"L2\""),
            (
                r#", "flag": "passthru""#,
                "unknown ipvlan flag: \"passthru\"",
            ),
            (r#", "mtu": 67"#, "invalid mtu 67"),
            (r#", "mtu": -1"#, "invalid mtu -1"),
            (r#", "mtu": 65536"#, "invalid mtu 65536"),
        ] {
            let error = plan(keys).unwrap_err();
            assert_eq!(error.code, netloom_spec::code::INVALID_CONFIG, "{keys}");
            assert!(error.msg.starts_with(start), "{keys}: {error}");
        }
    }
}
