//! What a node tells of itself.

use crate::malformed::{VERSION, parse, require_version};
use crate::{ClusterId, Malformed};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A record of a node is refused beyond this many bytes.
pub const LONGEST_NODE: usize = 16 * 1024;

/// The record of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeRecord {
    v: u32,
    /// `/etc/machine-id`: two machines of one name are told apart by it.
    pub machine: String,
    /// The run of its kernel.
    #[serde(default)]
    pub boot: String,
    /// By which other nodes reach it.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// Whose pods are on it.
    #[serde(default, with = "cidrs")]
    pub pod_cidrs: Vec<IpNet>,
    /// The release of its daemon.
    #[serde(default)]
    pub version: String,
    /// The store to which it has told all grants that it holds, see [`crate::grants`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced: Option<ClusterId>,
    /// Whether every node that it knows has announced itself there too, or is not waited for any more.
    #[serde(default)]
    pub settled: bool,
}

/// The record that stands only while a node's daemon lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AliveRecord {
    v: u32,
    /// Which start of the daemon.
    pub instance: String,
}

/// A list of networks as texts.
mod cidrs {
    use ipnet::IpNet;
    use netloom_spec::net;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        let parsed = texts.iter().map(|text| net::parse_cidr(text));
        parsed.collect::<Result<_, _>>().map_err(D::Error::custom)
    }

    pub(super) fn serialize<S: Serializer>(nets: &[IpNet], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(nets.iter().map(ToString::to_string))
    }
}

impl NodeRecord {
    /// Of a machine, with nothing else told yet.
    pub fn new(machine: impl Into<String>) -> Self {
        Self {
            v: VERSION,
            machine: machine.into(),
            boot: String::new(),
            addresses: Vec::new(),
            pod_cidrs: Vec::new(),
            version: String::new(),
            announced: None,
            settled: false,
        }
    }
}

impl AliveRecord {
    /// Of one start of the daemon.
    pub fn new(instance: impl Into<String>) -> Self {
        Self {
            v: VERSION,
            instance: instance.into(),
        }
    }
}

macro_rules! json {
    ($($record:ident),*) => {$(
        impl $record {
            /// Reads a record.
            ///
            /// # Errors
            /// What is wrong.
            pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
                let record: Self = parse(bytes, LONGEST_NODE)?;
                require_version(record.v)?;
                Ok(record)
            }

            /// As it is stored.
            pub fn to_json(&self) -> Vec<u8> {
                serde_json::to_vec(self).unwrap_or_default()
            }
        }
    )*};
}

json!(NodeRecord, AliveRecord);
