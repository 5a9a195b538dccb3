//! The firewall plugin's configuration, and what ADD is going to do with it.

use crate::wiring::setup_error::invalid;
use netloom_spec::{AddResult, Error, PluginConf};
use serde::Deserialize;
use std::net::IpAddr;

/// The chain that administrators may fill, in every packet filter.
const ADMIN_CHAIN: &str = "CNI-ADMIN";
/// The zone of firewalld in which everything is accepted.
const ZONE: &str = "trusted";
/// Bytes; iptables takes no longer name.
const CHAIN_MAX: usize = 28;
/// Chains that are the plugin's or the packet filter's own.
const TAKEN: [&str; 11] = [
    "CNI-FORWARD",
    "CNI-ISOLATION-STAGE-1",
    "CNI-ISOLATION-STAGE-2",
    "INPUT",
    "FORWARD",
    "OUTPUT",
    "forward",
    "overrides",
    "pods",
    "pass",
    "unmark",
];

/// Upstream's keys, unvalidated.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    backend: String,
    iptables_admin_chain_name: String,
    firewalld_zone: String,
    ingress_policy: String,
}

/// What `backend` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// Nothing: whatever this host has.
    Any,
    Iptables,
    Firewalld,
    Nftables,
}

impl Choice {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "" => Some(Self::Any),
            "iptables" => Some(Self::Iptables),
            "firewalld" => Some(Self::Firewalld),
            "nftables" => Some(Self::Nftables),
            _ => None,
        }
    }
}

/// Which packets may come to a pod from other pods (`ingressPolicy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// All.
    Open,
    /// Not those from another bridge that has a policy too.
    SameBridge,
    /// Nor those of its own bridge.
    Isolated,
}

/// A valid configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) backend: Choice,
    pub(super) admin_chain: String,
    pub(super) zone: String,
    pub(super) policy: Policy,
}

impl Plan {
    /// Validates the configuration; nothing has been touched when this fails.
    pub(super) fn new(conf: &PluginConf) -> Result<Self, Error> {
        let config: Config = conf.decode()?;
        let Some(backend) = Choice::parse(&config.backend) else {
            return Err(invalid(format!(
                "unknown firewall backend {:?} (backend must be \"iptables\", \"firewalld\" or \
                 \"nftables\", or absent)",
                config.backend
            )));
        };
        let policy = match config.ingress_policy.as_str() {
            "" | "open" => Policy::Open,
            "same-bridge" => Policy::SameBridge,
            "isolated" => Policy::Isolated,
            other => {
                return Err(invalid(format!(
                    "unknown ingress policy: {other:?} (ingressPolicy must be \"open\", \
                     \"same-bridge\" or \"isolated\")"
                )));
            }
        };
        Ok(Self {
            backend,
            admin_chain: admin_chain(config.iptables_admin_chain_name)?,
            zone: zone(config.firewalld_zone)?,
            policy,
        })
    }

    /// What DEL needs, key by key: it must not fail because of a value that it cannot use.
    pub(super) fn lenient(conf: &PluginConf) -> Self {
        let text = |key| conf.get(key).and_then(serde_json::Value::as_str);
        let zone = zone(text("firewalldZone").unwrap_or_default().to_owned());
        Self {
            backend: text("backend")
                .and_then(Choice::parse)
                .unwrap_or(Choice::Any),
            admin_chain: ADMIN_CHAIN.to_owned(),
            zone: zone.unwrap_or_else(|_| ZONE.to_owned()),
            policy: Policy::Open,
        }
    }
}

fn admin_chain(name: String) -> Result<String, Error> {
    if name.is_empty() {
        return Ok(ADMIN_CHAIN.to_owned());
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+".contains(&byte);
    let is_name = name.len() <= CHAIN_MAX && !name.starts_with('-') && name.bytes().all(plain);
    if !is_name {
        return Err(invalid(format!(
            "invalid iptablesAdminChainName {name:?}: it must have at most {CHAIN_MAX} letters, \
             digits and -_.:+ and not begin with -"
        )));
    }
    if TAKEN.contains(&name.as_str()) {
        return Err(invalid(format!(
            "invalid iptablesAdminChainName {name:?}: that chain has another purpose, \
             {ADMIN_CHAIN:?} is usual"
        )));
    }
    Ok(name)
}

fn zone(name: String) -> Result<String, Error> {
    if name.is_empty() {
        return Ok(ZONE.to_owned());
    }
    if name.contains('\0') {
        return Err(invalid(format!(
            "invalid firewalldZone {name:?}: it must be the name of a zone of firewalld"
        )));
    }
    Ok(name)
}

/// What an attachment is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The pod's addresses, each once.
    pub(super) ips: Vec<IpAddr>,
    /// The host's links of the attachment.
    pub(super) links: Vec<String>,
    pub(super) admin_chain: String,
    /// The bridge that is kept apart, unless the policy is open.
    pub(super) bridge: Option<Bridge>,
}

/// A bridge with a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bridge {
    pub(super) name: String,
    /// Its pods are kept apart from each other as well.
    pub(super) isolated: bool,
}

impl Wanted {
    /// All addresses of the result, whichever interface has them.
    pub(super) fn new(plan: &Plan, result: &AddResult) -> Result<Self, Error> {
        Ok(Self {
            ips: addresses(result),
            links: host_links(result),
            admin_chain: plan.admin_chain.clone(),
            bridge: match plan.policy {
                Policy::Open => None,
                Policy::SameBridge | Policy::Isolated => Some(Bridge {
                    name: bridge_name(result)?,
                    isolated: plan.policy == Policy::Isolated,
                }),
            },
        })
    }

    /// Only what keeps the bridge apart.
    pub(super) fn without_addresses(&self) -> Self {
        Self {
            ips: Vec::new(),
            ..self.clone()
        }
    }

    /// The part of one family.
    pub(super) fn of_family(&self, v6: bool) -> impl Iterator<Item = IpAddr> {
        self.ips
            .iter()
            .copied()
            .filter(move |ip| ip.is_ipv6() == v6)
    }
}

/// Each address of a result once.
pub(super) fn addresses(result: &AddResult) -> Vec<IpAddr> {
    let mut ips: Vec<IpAddr> = Vec::with_capacity(result.ips.len());
    for ip in &result.ips {
        if !ips.contains(&ip.address.addr()) {
            ips.push(ip.address.addr());
        }
    }
    ips
}

/// The links of the host that a result lists.
pub(super) fn host_links(result: &AddResult) -> Vec<String> {
    let of_host = result.interfaces.iter().filter(|i| i.sandbox.is_empty());
    // A name that no link can have is no link's.
    let names = of_host
        .map(|i| i.name.clone())
        .filter(|name| (1..16).contains(&name.len()));
    names.collect()
}

/// The first interface of the result, which is the bridge when the bridge plugin made it.
fn bridge_name(result: &AddResult) -> Result<String, Error> {
    match result.interfaces.first() {
        Some(first) if !first.name.is_empty() && first.sandbox.is_empty() => Ok(first.name.clone()),
        Some(first) if !first.name.is_empty() => Err(invalid(format!(
            "ingressPolicy needs the bridge as first interface of prevResult, but {:?} is in the \
             container: chain \"firewall\" with \"bridge\"",
            first.name
        ))),
        _ => Err(invalid(
            "ingressPolicy needs the bridge as first interface of prevResult, which names none: \
             chain \"firewall\" with \"bridge\"",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(keys: &str) -> Result<Plan, String> {
        let json = format!(r#"{{"name": "n", "type": "firewall"{keys}}}"#);
        Plan::new(&PluginConf::parse(json.as_bytes()).unwrap()).map_err(|error| error.msg)
    }

    #[test]
    fn what_is_absent_or_empty_has_upstreams_defaults() {
        let defaults = Plan {
            backend: Choice::Any,
            admin_chain: "CNI-ADMIN".into(),
            zone: "trusted".into(),
            policy: Policy::Open,
        };
        assert_eq!(plan("").unwrap(), defaults);
        let empty = r#", "backend": "", "iptablesAdminChainName": "", "firewalldZone": "",
            "ingressPolicy": """#;
        assert_eq!(plan(empty).unwrap(), defaults);
    }

    #[test]
    fn bad_values_are_refused_by_key_and_value() {
        for (keys, words) in [
            (
                r#", "backend": "ipfw""#,
                "unknown firewall backend \"ipfw\"",
            ),
            (
                r#", "ingressPolicy": "closed""#,
                "unknown ingress policy: \"closed\"",
            ),
            (
                r#", "iptablesAdminChainName": "two words""#,
                "\"two words\"",
            ),
            (r#", "iptablesAdminChainName": "-x""#, "\"-x\""),
            (
                r#", "iptablesAdminChainName": "CNI-FORWARD""#,
                "another purpose",
            ),
            (
                r#", "iptablesAdminChainName": "a2345678901234567890123456789""#,
                "at most 28",
            ),
            (r#", "firewalldZone": "a\u0000b""#, "firewalldZone"),
        ] {
            let message = plan(keys).unwrap_err();
            assert!(message.contains(words), "{keys}: {message}");
        }
    }

    #[test]
    fn a_policy_needs_a_bridge_of_the_host() {
        let wanted = |interfaces: &str| {
            let json = format!(r#"{{"cniVersion": "1.0.0", "interfaces": {interfaces}}}"#);
            let result = AddResult::parse(json.as_bytes(), netloom_spec::Version::V1_0_0).unwrap();
            Wanted::new(&plan(r#", "ingressPolicy": "isolated""#).unwrap(), &result)
        };
        let bridge = wanted(r#"[{"name": "cni0"}, {"name": "eth0", "sandbox": "/n"}]"#);
        let expected = Bridge {
            name: "cni0".into(),
            isolated: true,
        };
        assert_eq!(bridge.unwrap().bridge, Some(expected));
        for interfaces in ["[]", r#"[{"name": "eth0", "sandbox": "/n"}]"#] {
            let error = wanted(interfaces).unwrap_err();
            assert!(error.msg.contains("chain \"firewall\" with"), "{error}");
        }
    }
}
