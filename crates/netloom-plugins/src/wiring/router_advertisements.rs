//! Whether a pod takes addresses and routes from router advertisements.

use super::SetupError;
use netloom_kernel::sysctl;
use netloom_plugin::Context;
use netloom_spec::{Error, PluginConf};
use serde::Deserialize;

/// The key `acceptRA` of a plugin that makes a pod's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouterAdvertisements {
    /// Refused where the pod has an IPv6 address of an IPAM plugin, so that it has no other. Without one
    /// it is as the namespace is set.
    UnlessAddressed,
    /// As the namespace is set. The kernel's default is to take them.
    AsSet,
    /// Refused, with and without an IPv6 address.
    Refused,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    #[serde(rename = "acceptRA")]
    accept_ra: Option<bool>,
}

impl RouterAdvertisements {
    /// What the configuration asks for.
    pub(crate) fn read(request: &Context<'_>) -> Result<Self, Error> {
        let ipam = request.ipam();
        Self::of(request.conf, ipam.is_some_and(|ipam| ipam.asks_the_link()))
    }

    /// Fails for a configuration for which [`read`](Self::read) fails, whatever the IPAM plugin is.
    pub(crate) fn validate(conf: &PluginConf) -> Result<(), Error> {
        Self::of(conf, false).map(drop)
    }

    /// With `is_leased` the addresses come by DHCP, over the link. DHCPv6 has neither prefix nor routes:
    /// those are in router advertisements.
    fn of(conf: &PluginConf, is_leased: bool) -> Result<Self, Error> {
        let config: Config = conf.decode()?;
        Ok(match config.accept_ra {
            Some(true) => Self::AsSet,
            Some(false) => Self::Refused,
            None if is_leased => Self::AsSet,
            None => Self::UnlessAddressed,
        })
    }

    /// Whether a link refuses them, with an IPv6 address (`v6`) or without.
    pub(crate) fn refused(self, v6: bool) -> bool {
        match self {
            Self::UnlessAddressed => v6,
            Self::AsSet => false,
            Self::Refused => true,
        }
    }
}

/// Stops a link from taking any. Runs in the pod, before the link is up, since what had come in before
/// would stay. A kernel without IPv6 takes none.
pub(crate) fn refuse(link: &str) -> Result<(), SetupError> {
    for key in ["accept_ra", "autoconf"] {
        match sysctl::set(&format!("net/ipv6/conf/{link}/{key}"), "0") {
            Err(error) if !error.is_absent() => {
                let what = format!("failed to refuse router advertisements on {link:?}");
                return Err(SetupError::kernel(what)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_decides_and_otherwise_the_addresses() {
        let read = |keys: &str| {
            let json = format!(r#"{{"name": "n", "type": "bridge"{keys}}}"#);
            let conf = PluginConf::parse(json.as_bytes()).unwrap();
            RouterAdvertisements::of(&conf, conf.ipam_type() == Some("dhcp"))
        };
        let refused = |keys: &str| {
            let read = read(keys).unwrap();
            (read.refused(false), read.refused(true))
        };
        assert_eq!(refused(""), (false, true));
        assert_eq!(refused(r#", "ipam": {"type": "dhcp"}"#), (false, false));
        assert_eq!(refused(r#", "acceptRA": true"#), (false, false));
        assert_eq!(refused(r#", "acceptra": false"#), (true, true));
        let error = read(r#", "acceptRA": "no""#).unwrap_err();
        assert!(error.to_string().contains("acceptRA"), "{error}");
    }
}
