//! What is going to be done about a configuration.

use super::attributes::Attributes;
use super::backup::Store;
use super::config::{Config, written_keys};
use super::key::Key;
use crate::wiring::setup_error::invalid;
use netloom_spec::{Error, PluginConf};

/// A sysctl to set.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sysctl {
    pub(super) key: Key,
    pub(super) value: String,
}

/// A valid request, as far as that can be known without the kernel.
#[derive(Debug)]
pub(super) struct Plan {
    /// In the order in which they are to be set: that of the document, then those that only
    /// `args.cni` has.
    pub(super) sysctls: Vec<Sysctl>,
    /// To be set on the interface.
    pub(super) link: Attributes,
    /// CHECK finds promiscuous mode off. It is not ADD that turns it off.
    pub(super) expects_no_promisc: bool,
    /// Where backups are.
    pub(super) store: Store,
}

impl Plan {
    /// Validates the request; nothing has been touched when this fails. `document` is the
    /// configuration as it was written.
    pub(super) fn new(
        conf: &PluginConf,
        document: &[u8],
        cni_args: &str,
        if_name: &str,
    ) -> Result<Self, Error> {
        let config: Config = conf.decode()?;
        let link = Attributes {
            mac: config.mac(cni_args)?,
            promisc: config.promisc().filter(|on| *on),
            mtu: number("mtu", config.mtu())?.filter(|mtu| *mtu != 0),
            allmulti: config.allmulti(),
            tx_queue_len: match config.tx_queue_len() {
                Some(length) => number("txQLen", length)?,
                None => None,
            },
        };
        Ok(Self {
            sysctls: sysctls(&config, document, if_name)?,
            link,
            expects_no_promisc: config.promisc() == Some(false),
            store: Store::at(&config.data_dir),
        })
    }
}

fn number(key: &str, value: i64) -> Result<Option<u32>, Error> {
    match u32::try_from(value) {
        Ok(number) if number <= i32::MAX.unsigned_abs() => Ok(Some(number)),
        _ => Err(invalid(format!(
            "invalid {key} {value} (must be between 0 and {})",
            i32::MAX
        ))),
    }
}

fn sysctls(config: &Config, document: &[u8], if_name: &str) -> Result<Vec<Sysctl>, Error> {
    let mut sysctls: Vec<Sysctl> = Vec::new();
    let mut written = written_keys(document);
    if written.is_empty() {
        // Who calls in process may hand over what was never written.
        written.extend(config.sysctl.keys().cloned());
    }
    for spelled in written {
        let sysctl = sysctl(&spelled, config.sysctl.get(&spelled), if_name)?;
        if let Some(first) = sysctls.iter().find(|first| first.key.is_same(&sysctl.key)) {
            return Err(invalid(format!(
                "duplicated sysctl keys are not allowed: {:?} and {spelled:?}",
                first.key.spelled
            )));
        }
        sysctls.push(sysctl);
    }
    for (spelled, value) in config.overriding_sysctls() {
        let sysctl = sysctl(spelled, Some(value), if_name)?;
        match sysctls
            .iter_mut()
            .find(|known| known.key.is_same(&sysctl.key))
        {
            Some(known) => *known = sysctl,
            None => sysctls.push(sysctl),
        }
    }
    Ok(sysctls)
}

fn sysctl(spelled: &str, value: Option<&String>, if_name: &str) -> Result<Sysctl, Error> {
    let key = Key::parse(spelled, if_name)?;
    match value {
        Some(value) if !value.is_empty() => Ok(Sysctl {
            key,
            value: value.clone(),
        }),
        _ => Err(invalid(format!("sysctl {spelled:?} has no value"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netloom_spec::{Mac, code};

    fn plan(keys: &str, args: &str) -> Result<Plan, Error> {
        let json = format!(r#"{{"name": "n", "type": "tuning"{keys}}}"#);
        let conf = PluginConf::parse(json.as_bytes()).unwrap();
        Plan::new(&conf, json.as_bytes(), args, "eth0")
    }

    fn written(plan: &Plan) -> Vec<(&str, &str)> {
        plan.sysctls
            .iter()
            .map(|s| (s.key.spelled.as_str(), s.value.as_str()))
            .collect()
    }

    #[test]
    fn without_keys_there_is_nothing_to_do() {
        let plan = plan("", "").unwrap();
        assert!(plan.sysctls.is_empty() && plan.link.is_empty());
    }

    #[test]
    fn each_source_of_the_mac_counts_more_than_the_one_before() {
        let sources = [
            r#", "mac": "02:00:00:00:00:01""#,
            r#", "runtimeConfig": {"mac": "02:00:00:00:00:03"}"#,
            r#", "args": {"cni": {"mac": "02:00:00:00:00:04"}}"#,
        ];
        let last = |count: usize, args| plan(&sources[..count].concat(), args).unwrap().link.mac;
        let mac = |n| Some(Mac([2, 0, 0, 0, 0, n]));
        assert_eq!(last(0, ""), None);
        assert_eq!(last(1, ""), mac(1));
        assert_eq!(last(1, "MAC=02-00-00-00-00-02"), mac(2));
        assert_eq!(last(2, "MAC=02-00-00-00-00-02"), mac(3));
        assert_eq!(last(3, "MAC=02-00-00-00-00-02"), mac(4));
        let none = format!(r#"{}, "args": {{"cni": {{"mac": ""}}}}"#, sources[0]);
        assert_eq!(plan(&none, "").unwrap().link.mac, None);
    }

    #[test]
    fn arguments_override_every_key() {
        let keys = r#", "promisc": true, "mtu": 1400, "allmulti": true, "txQLen": 10,
            "sysctl": {"net.core.somaxconn": "1", "net.ipv4.ip_forward": "1"}"#;
        let mut all = plan(keys, "").unwrap();
        assert_eq!(all.link.promisc, Some(true));
        assert_eq!(
            (all.link.mtu, all.link.tx_queue_len),
            (Some(1400), Some(10))
        );
        let args = r#", "args": {"cni": {"promisc": false, "mtu": 0, "allmulti": false,
            "txQLen": 0, "sysctl": {"net/core/somaxconn": "2", "net.ipv4.tcp_sack": "0"}}}"#;
        all = plan(&format!("{keys}{args}"), "").unwrap();
        let expected = Attributes {
            allmulti: Some(false),
            tx_queue_len: Some(0),
            ..Attributes::default()
        };
        assert_eq!(all.link, expected);
        assert!(all.expects_no_promisc);
        assert_eq!(
            written(&all),
            [
                ("net/core/somaxconn", "2"),
                ("net.ipv4.ip_forward", "1"),
                ("net.ipv4.tcp_sack", "0")
            ]
        );
        // Without `sysctl` there is nothing to override, only to add.
        assert_eq!(plan(args, "").unwrap().sysctls.len(), 2);
    }

    #[test]
    fn sysctls_keep_the_order_in_which_they_are_written() {
        let keys = r#", "sysctl": {"net.b": "1", "net.a": "2", "net.c": "3"}"#;
        let plan = plan(keys, "").unwrap();
        assert_eq!(
            written(&plan),
            [("net.b", "1"), ("net.a", "2"), ("net.c", "3")]
        );
    }

    #[test]
    fn one_sysctl_twice_is_refused_however_it_is_spelled() {
        for second in ["net.ipv4.ip_forward", "net/ipv4/ip_forward"] {
            let keys = format!(r#", "sysctl": {{"net.ipv4.ip_forward": "1", "{second}": "0"}}"#);
            let error = plan(&keys, "").unwrap_err();
            assert_eq!(error.code, code::INVALID_CONFIG);
            let start = "duplicated sysctl keys are not allowed: \"net.ipv4.ip_forward\" and";
            assert!(
                error.msg.starts_with(start) && error.msg.contains(second),
                "{error}"
            );
        }
    }

    #[test]
    fn bad_values_are_named() {
        for (keys, words) in [
            (r#", "mac": "02:00""#, "address 02:00: invalid MAC address"),
            (r#", "mac": "01:00:5e:00:00:01""#, "unicast"),
            (r#", "mtu": -1"#, "invalid mtu -1"),
            (r#", "mtu": 4294967295"#, "invalid mtu 4294967295"),
            (r#", "txQLen": -5"#, "invalid txQLen -5"),
            (
                r#", "sysctl": {"net.a": ""}"#,
                "sysctl \"net.a\" has no value",
            ),
            (
                r#", "sysctl": {"kernel.hostname": "x"}"#,
                "invalid net sysctl key",
            ),
        ] {
            let error = plan(keys, "").unwrap_err();
            assert_eq!(error.code, code::INVALID_CONFIG, "{keys}");
            assert!(error.msg.contains(words), "{keys}: {error}");
        }
        assert_eq!(plan("", "FOO=1").unwrap_err().code, 4);
        assert!(plan("", "FOO=1;IgnoreUnknown=1").is_ok());
    }
}
