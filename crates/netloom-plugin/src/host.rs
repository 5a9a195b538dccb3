//! What plugins tell of the host, for tools that look after it.

use netloom_spec::Attachment;
use std::net::IpAddr;
use std::path::PathBuf;

/// Whom an object on the host names as its owner, as far as it tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimant {
    /// The attachment.
    Attachment(Attachment),
    /// A container: iptables tells no interface.
    Container(String),
    /// A comment of nf_tables that was cut, with the hashes of network, interface and container at its
    /// beginning.
    Cut(String),
}

/// An address that something on the host was made for. Where a living namespace has it, the owner lives,
/// whoever added it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedAddress {
    /// For whom.
    pub claimant: Claimant,
    /// The pod's address.
    pub address: IpAddr,
}

impl From<(Attachment, IpAddr)> for ClaimedAddress {
    fn from((owner, address): (Attachment, IpAddr)) -> Self {
        Self {
            claimant: Claimant::Attachment(owner),
            address,
        }
    }
}

/// How pods are reached from the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostLink {
    /// By the ports of a bridge of this name.
    Bridge(String),
    /// By a link for each pod, which has the gateway's address and a name that begins so.
    PerPod(&'static str),
}

impl HostLink {
    /// The name of the link, or a pattern of names with `*` at its end, as nf_tables has it.
    #[must_use]
    pub fn pattern(&self) -> String {
        match self {
            Self::Bridge(name) => name.clone(),
            Self::PerPod(prefix) => format!("{prefix}*"),
        }
    }

    /// The bridge, if it is one.
    #[must_use]
    pub fn bridge(&self) -> Option<&str> {
        match self {
            Self::Bridge(name) => Some(name),
            Self::PerPod(_) => None,
        }
    }
}

/// How full a pool of addresses is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its ranges.
    pub pool: String,
    /// The addresses that are reserved.
    pub taken: u128,
    /// All that can be given, the gateways' not counted.
    pub size: u128,
}

/// What the default place of a plugin's files holds of a network that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// What kind of object they are.
    pub kind: &'static str,
    /// The network's name.
    pub network: String,
    /// Where they are, and what is kept beside them.
    pub directories: Vec<PathBuf>,
    /// How many there are.
    pub count: usize,
    /// The addresses that they are about.
    pub addresses: Vec<IpAddr>,
}

/// The network of which a plugin is asked for [`hindrances`](crate::Plugin::hindrances).
#[derive(Clone, Copy, Debug)]
pub struct NetworkView<'a> {
    /// How its pods are reached from the host, if a plugin of the network tells.
    pub link: Option<&'a HostLink>,
    /// Whether its pods have addresses of IPv4, and of IPv6, as far as the configuration tells.
    pub families: [bool; 2],
}

/// Something on the host that keeps pods from working.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hindrance {
    /// What kind of object it is.
    pub kind: &'static str,
    /// What is wrong.
    pub what: String,
    /// What mends it.
    pub mend: Mend,
}

/// What mends something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mend {
    /// A sysctl, which every ADD of the network would set as well, or which does no harm.
    Sysctl {
        /// Its name with dots.
        key: String,
        /// The value to set.
        value: String,
    },
    /// A command for a shell, or in words what to do.
    Say(String),
}

impl Mend {
    /// Sets a sysctl.
    #[must_use]
    pub fn sysctl(key: &str, value: &str) -> Self {
        Self::Sysctl {
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }
}
