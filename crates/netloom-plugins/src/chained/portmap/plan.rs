//! What is going to be mapped, and how: validated, before anything is touched.

use super::conditions::Conditions;
use super::config::Config;
use super::mapping::Mapping;
use super::refusal::{refused, told};
use crate::wiring::masquerade::{Backend, BackendChoice};
use ipnet::IpNet;
use netloom_spec::{AddResult, Error, PluginConf};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Kubernetes uses the bits 14 and 15, Calico 20 to 31.
const DEFAULT_MARK_BIT: i64 = 13;

/// A valid configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) backend: BackendChoice,
    pub(super) masquerade: Masquerade,
    /// The bit of the packet mark by which iptables knows what to masquerade.
    pub(super) mark: u32,
    /// `externalSetMarkChain`: a chain of somebody else that sets a mark for masquerade.
    pub(super) set_mark_chain: Option<String>,
    pub(super) conditions_v4: Conditions,
    pub(super) conditions_v6: Conditions,
    pub(super) mappings: Vec<Mapping>,
}

/// For whom a mapped connection gets a source address of the host, so that answers come back
/// through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Masquerade {
    /// `snat` is false.
    Nobody,
    /// The pod itself and its neighbours in the subnet, and the host's loopback.
    Neighbours,
    /// `masqAll`.
    Everybody,
}

impl Plan {
    /// Validates the configuration.
    pub(super) fn new(conf: &PluginConf) -> Result<Self, Error> {
        let config = Config::read(conf).map_err(told)?;
        if config.mark_masq_bit.is_some() && config.external_set_mark_chain.is_some() {
            return Err(refused(
                "Cannot specify externalSetMarkChain and markMasqBit: leave one of them out",
            ));
        }
        let bit = config.mark_masq_bit.unwrap_or(DEFAULT_MARK_BIT);
        let Some(bit) = u32::try_from(bit).ok().filter(|bit| *bit <= 31) else {
            return Err(refused(format!(
                "MasqMarkBit must be between 0 and 31: markMasqBit is {bit}"
            )));
        };
        let backend = backend(&config)?;
        let set_mark_chain = set_mark_chain(config.external_set_mark_chain)?;
        Ok(Self {
            backend,
            masquerade: match (config.snat.unwrap_or(true), config.masq_all) {
                (false, _) => Masquerade::Nobody,
                (true, false) => Masquerade::Neighbours,
                (true, true) => Masquerade::Everybody,
            },
            mark: 1 << bit,
            set_mark_chain,
            conditions_v4: Conditions::new("conditionsV4", false, config.conditions_v4)?,
            conditions_v6: Conditions::new("conditionsV6", true, config.conditions_v6)?,
            mappings: mappings(&config.runtime_config.port_mappings)?,
        })
    }

    /// The packet filter of an ADD, and whether it understands all that is asked of it.
    pub(super) fn backend_for_add(&self) -> Result<Backend, Error> {
        let backend = self.backend.for_add();
        self.fits(backend)?;
        if backend == Backend::Nftables {
            self.conditions_v4.for_nftables()?;
            self.conditions_v6.for_nftables()?;
        }
        Ok(backend)
    }

    /// Refuses options that only the other packet filter has.
    fn fits(&self, backend: Backend) -> Result<(), Error> {
        let (asked, other) = match backend {
            Backend::Iptables => ("iptables", Backend::Nftables),
            Backend::Nftables => ("nftables", Backend::Iptables),
        };
        let mut misfits = Vec::new();
        if self.set_mark_chain.is_some() && other == Backend::Iptables {
            misfits.push("externalSetMarkChain");
        }
        for (key, conditions) in [
            ("conditionsV4", &self.conditions_v4),
            ("conditionsV6", &self.conditions_v6),
        ] {
            if conditions.language() == Some(other) {
                misfits.push(key);
            }
        }
        if misfits.is_empty() {
            return Ok(());
        }
        let specific = if other == Backend::Iptables {
            "iptables"
        } else {
            "nftables"
        };
        Err(refused(format!(
            "{asked} backend was requested but configuration contains {specific}-specific options \
             [{}]: set \"backend\" to {specific:?}",
            misfits.join(" ")
        )))
    }

    /// The conditions of one IP version.
    pub(super) fn conditions(&self, v6: bool) -> &Conditions {
        if v6 {
            &self.conditions_v6
        } else {
            &self.conditions_v4
        }
    }
}

fn backend(config: &Config) -> Result<BackendChoice, Error> {
    match config.backend.as_deref() {
        None => Ok(BackendChoice::Any),
        Some("iptables") => Ok(BackendChoice::Only(Backend::Iptables)),
        Some("nftables") => Ok(BackendChoice::Only(Backend::Nftables)),
        Some(other) => Err(refused(format!(
            "unrecognized backend {other:?} (backend must be \"iptables\" or \"nftables\")"
        ))),
    }
}

/// A chain's name goes into a script: what iptables could not have as a name is refused.
fn set_mark_chain(name: Option<String>) -> Result<Option<String>, Error> {
    let fits = |name: &String| {
        let plain = |c: char| c.is_ascii_graphic() && !"\"'\\".contains(c);
        (1..=28).contains(&name.len()) && !name.starts_with(['-', '!']) && name.chars().all(plain)
    };
    match name {
        Some(name) if !fits(&name) => Err(refused(format!(
            "invalid externalSetMarkChain {name:?}: it must be the name of a chain of iptables, \
             1 to 28 characters"
        ))),
        name => Ok(name),
    }
}

fn mappings(raw: &[super::config::PortMapping]) -> Result<Vec<Mapping>, Error> {
    let mut mappings: Vec<Mapping> = Vec::with_capacity(raw.len());
    // The mappings by their first host port. They do not overlap each other. So a new one can overlap
    // only the last of those that begin before its end.
    let mut begin: BTreeMap<(bool, u8, Option<IpAddr>, u16), usize> = BTreeMap::new();
    for (index, entry) in raw.iter().enumerate() {
        let place = format!("runtimeConfig.portMappings[{index}]");
        let mapping = Mapping::new(entry).map_err(|why| refused(format!("{place}: {why}")))?;
        let protocol = mapping.protocol.number().0;
        let key = |v6, port| (v6, protocol, mapping.host_ip, port);
        let families = [false, true].into_iter().filter(|v6| mapping.is_for(*v6));
        let last = *mapping.host_ports().end();
        let same = families.clone().find_map(|v6| {
            let (_, at) = begin.range(..=key(v6, last)).next_back()?;
            let other: &Mapping = mappings.get(*at)?;
            other.overlaps(&mapping).then_some(other)
        });
        if let Some(same) = same {
            if *same == mapping {
                continue;
            }
            return Err(refused(format!(
                "{place}: {} is mapped already, by {}",
                mapping.describe(),
                same.describe()
            )));
        }
        begin.extend(families.map(|v6| (key(v6, mapping.host_port), mappings.len())));
        mappings.push(mapping);
    }
    Ok(mappings)
}

/// The pod's addresses, at most one of each IP version: the first that belong to its interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Pod {
    pub(super) v4: Option<IpNet>,
    pub(super) v6: Option<IpNet>,
}

impl Pod {
    pub(super) fn of(result: &AddResult, if_name: &str) -> Self {
        let mut pod = Self::default();
        for ip in &result.ips {
            let elsewhere = ip
                .interface
                .and_then(|index| result.interfaces.get(index))
                .is_some_and(|link| link.name != if_name || link.sandbox.is_empty());
            let slot = if ip.address.addr().is_ipv4() {
                &mut pod.v4
            } else {
                &mut pod.v6
            };
            if !elsewhere && slot.is_none() {
                *slot = Some(ip.address);
            }
        }
        pod
    }

    /// The addresses there are.
    pub(super) fn nets(&self) -> impl Iterator<Item = IpNet> {
        self.v4.into_iter().chain(self.v6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(keys: &str) -> Result<Plan, Error> {
        let text = format!(r#"{{"name": "n", "type": "portmap", {keys}}}"#);
        Plan::new(&PluginConf::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn the_defaults_are_upstreams() {
        let plan = plan(r#""x": 1"#).unwrap();
        assert_eq!(
            (plan.mark, plan.masquerade),
            (0x2000, Masquerade::Neighbours)
        );
        assert!(plan.mappings.is_empty() && plan.backend == BackendChoice::Any);
    }

    #[test]
    fn each_error_names_its_key() {
        for (keys, words) in [
            (r#""backend": "pf""#, "unrecognized backend \"pf\""),
            (
                r#""markMasqBit": 32"#,
                "MasqMarkBit must be between 0 and 31",
            ),
            (
                r#""markMasqBit": 1, "externalSetMarkChain": "X""#,
                "Cannot specify",
            ),
            (
                r#""externalSetMarkChain": "a b""#,
                "invalid externalSetMarkChain \"a b\"",
            ),
            (
                r#""runtimeConfig": {"portMappings": [{"hostPort": 0, "containerPort": 1, "protocol": "tcp"}]}"#,
                "runtimeConfig.portMappings[0]: Invalid host port number: 0",
            ),
        ] {
            let error = plan(keys).unwrap_err();
            let start = format!("failed to parse config: {words}");
            assert!(error.code == 7 && error.msg.starts_with(&start), "{error}");
        }
    }

    #[test]
    fn a_mapping_said_twice_counts_once_and_a_contradiction_is_refused() {
        let two = |second: &str| {
            plan(&format!(
                r#""runtimeConfig": {{"portMappings": [
                {{"hostPort": 80, "containerPort": 8080, "protocol": "tcp"}}, {second}]}}"#
            ))
        };
        let same = two(r#"{"hostPort": 80, "containerPort": 8080, "protocol": "TCP"}"#);
        assert_eq!(same.unwrap().mappings.len(), 1);
        let other = two(r#"{"hostPort": 80, "containerPort": 81, "protocol": "tcp"}"#);
        assert!(other.unwrap_err().msg.contains("80/tcp is mapped already"));
    }

    #[test]
    fn options_of_the_other_packet_filter_are_refused() {
        let nft = plan(
            r#""backend": "nftables", "externalSetMarkChain": "X", "conditionsV4": ["-d", "x"]"#,
        );
        let error = nft.unwrap().backend_for_add().unwrap_err();
        assert!(
            error
                .msg
                .contains("iptables-specific options [externalSetMarkChain conditionsV4]"),
            "{error}"
        );
        let ipt = plan(r#""backend": "iptables", "conditionsV6": ["ip6", "saddr", "::1"]"#);
        let error = ipt.unwrap().backend_for_add().unwrap_err();
        assert!(
            error
                .msg
                .contains("nftables-specific options [conditionsV6]"),
            "{error}"
        );
    }
}
