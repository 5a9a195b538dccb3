//! The result of ADD (CNI spec 1.1.0, section 5, "Success"), in the newest shape.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::net;
use crate::version::Version;

/// What ADD answers, and what later calls get as `prevResult`.
///
/// The fields are those of 1.1.0. Every version is read into them by
/// [`AddResult::parse`] and written out of them by [`AddResult::to_json`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddResult {
    /// The version the result was read in; for a new one the newest. It tells
    /// where the result comes from, not how it will be written.
    pub cni_version: Version,
    /// The interfaces the attachment has, on the host and in the container.
    pub interfaces: Vec<Interface>,
    /// The addresses.
    pub ips: Vec<IpConfig>,
    /// The routes.
    pub routes: Vec<Route>,
    /// What the container should know about name servers.
    pub dns: Dns,
    /// The keys the specification does not know, kept as they are.
    pub extra: Map<String, Value>,
}

/// One network interface of a result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its hardware address as text; empty if it has none.
    pub mac: String,
    /// Its MTU in bytes; 0 is absent.
    pub mtu: u32,
    /// The path of its network namespace; empty on the host.
    pub sandbox: String,
    /// The absolute path of a socket that belongs to it; empty is absent.
    #[serde(rename = "socketPath")]
    pub socket_path: String,
    /// The PCI address of its device; empty is absent.
    #[serde(rename = "pciID")]
    pub pci_id: String,
    /// The keys the specification does not know, kept as they are.
    #[serde(rename = "*")]
    pub extra: Map<String, Value>,
}

/// One address of a result.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct IpConfig {
    /// The address and the length of its prefix; the host bits are the address's.
    #[serde(with = "net::cidr")]
    pub address: IpNet,
    /// The gateway of its subnet.
    #[serde(default, with = "net::ip")]
    pub gateway: Option<IpAddr>,
    /// The index in [`AddResult::interfaces`] of the interface that has it.
    #[serde(default)]
    pub interface: Option<usize>,
    /// The keys the specification does not know, kept as they are.
    #[serde(default, rename = "*")]
    pub extra: Map<String, Value>,
}

/// One route of a result.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Route {
    /// The destination.
    #[serde(with = "net::cidr")]
    pub dst: IpNet,
    /// The next hop. Without one a plugin may use an address's gateway.
    #[serde(default, with = "net::ip")]
    pub gw: Option<IpAddr>,
    /// The path MTU in bytes; 0 is absent.
    #[serde(default)]
    pub mtu: u32,
    /// The MSS to advertise, in bytes; 0 is absent.
    #[serde(default)]
    pub advmss: u32,
    /// The priority (metric), lower wins; 0 is absent.
    #[serde(default)]
    pub priority: u32,
    /// The routing table. 0 is not absent.
    #[serde(default)]
    pub table: Option<u32>,
    /// The scope: 0 global, 253 link, 254 host. 0 is not absent.
    #[serde(default)]
    pub scope: Option<u8>,
    /// The keys the specification does not know, kept as they are.
    #[serde(default, rename = "*")]
    pub extra: Map<String, Value>,
}

/// What a container should know about name servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    /// The name servers' addresses, best first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// The local domain; empty is absent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// The search list for short names, best first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Options for the resolver.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

impl Default for AddResult {
    fn default() -> Self {
        Self::new()
    }
}

impl AddResult {
    /// A result with nothing in it, of the newest version.
    pub fn new() -> Self {
        Self {
            cni_version: Version::LATEST,
            interfaces: Vec::new(),
            ips: Vec::new(),
            routes: Vec::new(),
            dns: Dns::default(),
            extra: Map::new(),
        }
    }
}

impl Interface {
    /// An interface of which only the name is known.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }
}

impl IpConfig {
    /// An address without gateway or interface.
    pub fn new(address: IpNet) -> Self {
        Self {
            address,
            gateway: None,
            interface: None,
            extra: Map::new(),
        }
    }
}

impl Route {
    /// A route of which only the destination is known.
    pub fn new(dst: IpNet) -> Self {
        Self {
            dst,
            gw: None,
            mtu: 0,
            advmss: 0,
            priority: 0,
            table: None,
            scope: None,
            extra: Map::new(),
        }
    }
}

impl Dns {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.nameservers.is_empty()
            && self.domain.is_empty()
            && self.search.is_empty()
            && self.options.is_empty()
    }
}
