//! The configuration of tap, and what ADD is going to do about it.

use crate::wiring::dns::OwnDns;
use crate::wiring::mac::{self, WithMac};
use crate::wiring::mtu;
use crate::wiring::setup_error::invalid;
use netloom_kernel::selinux;
use netloom_spec::{Dns, Error, Mac, PluginConf};
use serde::Deserialize;

/// The longest frame that a tap takes, less the Ethernet header.
const LARGEST_MTU: u32 = 65521;

/// The keys as they come over the wire. (`args` is not looked at.)
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    multi_queue: bool,
    mtu: i64,
    mac: String,
    owner: Option<u32>,
    group: Option<u32>,
    selinux_context: String,
    bridge: String,
    dns: OwnDns,
    runtime_config: WithMac,
}

/// A valid request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Several programs, or threads of one, may have the other end.
    pub(super) multi_queue: bool,
    /// In bytes; 0 leaves it to the kernel.
    pub(super) mtu: u32,
    /// The MAC address; the kernel's choice when absent.
    pub(super) mac: Option<Mac>,
    /// The user who may take the other end.
    pub(super) owner: Option<u32>,
    /// The group that may take the other end.
    pub(super) group: Option<u32>,
    /// The SELinux context that the device is labelled with.
    pub(super) selinux_context: Option<String>,
    /// A bridge in the pod of which the tap becomes a port.
    pub(super) bridge: Option<String>,
    /// Replaces the DNS of the IPAM plugin.
    pub(super) dns: Option<Dns>,
}

impl Plan {
    /// Validates the request; nothing has been touched when this fails.
    pub(super) fn new(conf: &PluginConf, cni_args: &str) -> Result<Self, Error> {
        let config: Config = conf.decode()?;
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(Self {
            multi_queue: config.multi_queue,
            mtu: mtu::read(config.mtu, LARGEST_MTU)?,
            mac: mac::requested(&config.runtime_config, cni_args, &config.mac)?,
            owner: id("owner", config.owner)?,
            group: id("group", config.group)?,
            selinux_context: context(given(config.selinux_context))?,
            bridge: given(config.bridge),
            dns: config.dns.replacement(),
        })
    }

    /// The reference makes some taps with a header of virtio's in front of frames and others
    /// without. Whoever takes the other end says what it wants anyway.
    pub(super) fn vnet_header(&self) -> bool {
        self.owner.is_some() && self.group.is_some() && self.selinux_context.is_none()
    }

    /// A label that cannot be given must not be left out silently.
    pub(super) fn refuse_context_without_selinux(&self, code: u32) -> Result<(), Error> {
        match &self.selinux_context {
            Some(context) if !selinux::is_enabled() => {
                let msg = format!(
                    "selinuxContext: {context:?} cannot be given to the tap, SELinux is not \
                     enabled on this host"
                );
                Err(Error::new(code, msg))
            }
            _ => Ok(()),
        }
    }
}

/// The kernel keeps the last number for "none".
fn id(key: &str, value: Option<u32>) -> Result<Option<u32>, Error> {
    match value {
        Some(u32::MAX) => Err(invalid(format!(
            "{key}: {} stands for no {key}, leave the key out for that",
            u32::MAX
        ))),
        value => Ok(value),
    }
}

fn context(value: Option<String>) -> Result<Option<String>, Error> {
    match value {
        Some(text) if text.contains(char::is_control) => Err(invalid(format!(
            "selinuxContext: {text:?} is no context, expected one such as \
             system_u:system_r:container_t:s0"
        ))),
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(keys: &str, args: &str) -> Result<Plan, Error> {
        let json = format!(r#"{{"name": "n", "type": "tap"{keys}}}"#);
        Plan::new(&PluginConf::parse(json.as_bytes()).unwrap(), args)
    }

    #[test]
    fn without_keys_the_kernel_decides_and_everybody_may_attach() {
        let plan = plan(r#", "args": {"cni": {"mac": "x"}}"#, "").unwrap();
        assert_eq!(
            (plan.mtu, plan.mac, plan.owner, plan.group),
            (0, None, None, None)
        );
        assert!(!plan.multi_queue && plan.bridge.is_none() && plan.selinux_context.is_none());
    }

    #[test]
    fn the_header_is_there_in_the_cases_in_which_the_reference_has_it() {
        for (keys, header) in [
            ("", false),
            (r#", "owner": 0"#, false),
            (r#", "group": 0"#, false),
            (r#", "owner": 0, "group": 0"#, true),
            (
                r#", "owner": 0, "group": 0, "selinuxContext": "a:b:c""#,
                false,
            ),
        ] {
            assert_eq!(plan(keys, "").unwrap().vnet_header(), header, "{keys}");
        }
    }

    #[test]
    fn bad_values_are_refused_by_key_and_value() {
        for (keys, code, words) in [
            (r#", "mtu": 67"#, 7, "invalid mtu 67"),
            (r#", "mtu": 65522"#, 7, "invalid mtu 65522"),
            (r#", "mtu": -1"#, 7, "invalid mtu -1"),
            (r#", "mtu": "1500""#, 6, "mtu"),
            (r#", "mac": "01:00:00:00:00:01""#, 7, "01:00:00:00:00:01"),
            (r#", "owner": -1"#, 7, "owner"),
            (r#", "owner": 4294967295"#, 7, "owner: 4294967295"),
            (r#", "group": 4294967295"#, 7, "group: 4294967295"),
            (r#", "group": "kvm""#, 6, "group"),
            (r#", "selinuxContext": "a\nb""#, 7, "selinuxContext"),
        ] {
            let error = plan(keys, "").unwrap_err();
            assert!(
                error.code == code && error.msg.contains(words),
                "{keys}: {error}"
            );
        }
        assert!(plan("", "FOO=1").is_err() && plan("", "FOO=1;IgnoreUnknown=1").is_ok());
    }
}
