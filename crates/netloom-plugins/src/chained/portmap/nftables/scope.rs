//! Whose packets a map is for: everybody's, or those that meet the conditions of one network.

use super::super::conditions::Conditions;
use crate::wiring::owner::{hash16, network_hash};
use netloom_kernel::nft::{ChainInfo, Rule};
use netloom_spec::Error;

/// How the names of chains with conditions begin.
const PREFIX: &str = "if-";

/// How the names of maps of ports on any address begin.
pub(super) const PORTS: &str = "ports";
/// How the names of maps of ports on one address begin.
pub(super) const HOSTIP_PORTS: &str = "hostip_ports";

/// The chain that looks a packet up, and its maps. Conditions have a chain and maps of their own,
/// named by the network and the conditions: so they touch no other network, and what was mapped
/// under earlier conditions keeps those.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    chain: String,
    ports: String,
    hostip_ports: String,
    comment: String,
    conditions: Vec<Rule>,
}

impl Scope {
    /// Without conditions.
    pub(super) fn common() -> Self {
        Self {
            chain: "lookup".to_owned(),
            ports: PORTS.to_owned(),
            hostip_ports: HOSTIP_PORTS.to_owned(),
            comment: String::new(),
            conditions: Vec::new(),
        }
    }

    pub(super) fn new(network: &str, conditions: &Conditions) -> Result<Self, Error> {
        if conditions.is_empty() {
            return Ok(Self::common());
        }
        let text = conditions.tokens().join(" ");
        let name = hash16(&[network, " ", &text]);
        Ok(Self {
            conditions: conditions.for_nftables()?,
            comment: format!("{}, net: {network}", network_hash(network)),
            ..Self::named(format!("{PREFIX}{name}"))
        })
    }

    fn named(chain: String) -> Self {
        Self {
            ports: format!("{PORTS}-{chain}"),
            hostip_ports: format!("{HOSTIP_PORTS}-{chain}"),
            chain,
            comment: String::new(),
            conditions: Vec::new(),
        }
    }

    /// The scope that a chain of the table is of; none for the common ones.
    pub(super) fn of_chain(chain: &ChainInfo) -> Option<Self> {
        chain.name.starts_with(PREFIX).then(|| Self {
            comment: chain.comment.clone().unwrap_or_default(),
            ..Self::named(chain.name.clone())
        })
    }

    pub(super) fn is_common(&self) -> bool {
        !self.chain.starts_with(PREFIX)
    }

    /// Whether it is of this network.
    pub(super) fn is_of(&self, network: &str) -> bool {
        self.comment.starts_with(&network_hash(network))
    }

    pub(super) fn chain(&self) -> &str {
        &self.chain
    }

    pub(super) fn comment(&self) -> &str {
        &self.comment
    }

    /// The map of ports on any address of the host.
    pub(super) fn ports(&self) -> &str {
        &self.ports
    }

    /// The map of ports on one address.
    pub(super) fn hostip_ports(&self) -> &str {
        &self.hostip_ports
    }

    /// The beginnings of the rules that lead to the chain.
    pub(super) fn conditions(&self) -> &[Rule] {
        &self.conditions
    }
}
