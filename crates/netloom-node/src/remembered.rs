//! What a node remembers over restarts and reboots: its part of the network, and the others.
//!
//! With it a node that starts while the store is away has its own pods and the way to the others' at once,
//! and one whose store was wiped asks for the same part again.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use netloom_cluster::peers::Record;
use netloom_spec::Mac;
use serde::{Deserialize, Serialize};

use crate::files;

/// 5,000 records take 1.5 MB.
const LONGEST: u64 = 64 << 20;

/// The file's content.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Remembered {
    /// Under which prefix all this is.
    pub(crate) prefix: String,
    /// The network's configuration, as it is in the store.
    pub(crate) config: String,
    /// The last part of the own record's key; empty if the node has no part yet.
    pub(crate) subnets: String,
    /// The own record, as it was written last.
    pub(crate) announced: String,
    /// The hardware addresses of the tunnel ends, IPv4 and IPv6.
    pub(crate) tunnel_macs: Vec<Mac>,
    /// The others' records, as they are in the store.
    pub(crate) peers: Vec<RememberedPeer>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RememberedPeer {
    key: String,
    value: String,
    created: i64,
}

/// Where the file is.
pub(crate) fn path(state: &Path) -> PathBuf {
    state.join("network.json")
}

impl Remembered {
    /// Reads what is remembered; nothing where there is no file, or one that cannot be read.
    pub(crate) fn load(state: &Path, prefix: &str) -> Result<Self> {
        let path = path(state);
        let Some(bytes) = files::read(&path, LONGEST)? else {
            return Ok(Self::of_prefix(prefix));
        };
        match serde_json::from_slice::<Self>(&bytes) {
            Ok(remembered) if remembered.prefix == prefix => Ok(remembered),
            Ok(other) => {
                note!(
                    "{} is of the prefix {}, not {prefix}",
                    path.display(),
                    other.prefix
                );
                Ok(Self::of_prefix(prefix))
            }
            Err(error) => {
                note!(
                    "{} cannot be read, and is written anew: {error}",
                    path.display()
                );
                Ok(Self::of_prefix(prefix))
            }
        }
    }

    fn of_prefix(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            ..Self::default()
        }
    }

    /// Writes it, unless it is there already.
    pub(crate) fn save(&self, state: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("cannot write JSON")?;
        files::write(&path(state), &(text + "\n"), 0o600).map(drop)
    }

    /// The others' records.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> {
        self.peers.iter().map(|peer| Record {
            key: peer.key.clone(),
            value: peer.value.clone().into_bytes(),
            created: peer.created,
        })
    }

    /// Takes the others' records.
    pub(crate) fn set_records(&mut self, records: &[&Record]) {
        let peers = records.iter().map(|record| RememberedPeer {
            key: record.key.clone(),
            value: String::from_utf8_lossy(&record.value).into_owned(),
            created: record.created,
        });
        self.peers = peers.collect();
    }
}
