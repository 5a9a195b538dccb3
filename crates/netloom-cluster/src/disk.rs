//! What a node keeps on its disk, below [`ROOT`].
//!
//! | path | what |
//! |---|---|
//! | `<space>/grants` | [`GrantsFile`]: what the node may give. The daemon alone writes it, by a new file, fsync and rename, mode 0600 |
//! | `<space>/lock` | whoever makes or removes a reservation, or takes a grant away, holds flock(2) on it |
//! | `<space>/<address>` | a reservation: container id, CR LF, interface, CR LF, network; the plugin alone writes these |
//! | `<space>/last_reserved_ip.<n>` | where the plugin's round robin stands |
//! | `.netloom/<space>` | the plugin's index of the reservations, a cache |
//! | `.cluster` | [`ClusterFile`]: which store and which nodes this node knows; the daemon's |

use crate::grid::{Block, Span};
use crate::malformed::{VERSION, parse, require_version};
use crate::record::Pin;
use crate::{ClusterId, Malformed, NodeName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Where everything is.
pub const ROOT: &str = "/var/lib/cni/netloom-cluster";

/// The name of a space's [`GrantsFile`].
pub const GRANTS: &str = "grants";

/// The name of the file that is locked.
pub const LOCK: &str = "lock";

/// The name of the [`ClusterFile`]. No space's name begins with a dot.
pub const CLUSTER: &str = ".cluster";

/// Files are refused beyond this many bytes.
pub const LONGEST_FILE: usize = 4 << 20;

/// A grant that the node holds, or is about to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Where it is.
    pub block: Block,
    /// Which addresses of the block.
    pub span: Span,
    /// Its entry's epoch in the store.
    pub epoch: u64,
    /// The pod that a single address is for: nobody else may get it.
    pub pin: Option<Pin>,
}

/// What the node was about to do in the store, so that a start after a crash can find out whether it
/// happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// To claim these.
    Claim(Vec<Grant>),
    /// To give these back. They are no longer among the grants.
    GiveBack(Vec<Grant>),
}

/// What a node may give of a space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantsFile {
    /// The run of the kernel in which every grant was compared with the store. In any other run
    /// nothing may be given.
    pub verified_in: Option<String>,
    /// The grants. They share no address.
    pub grants: Vec<Grant>,
    /// What is under way.
    pub intent: Option<Intent>,
}

/// Which store and which nodes a node knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterFile {
    /// The store that has been told everything that this node holds.
    pub cluster: Option<ClusterId>,
    /// Every other node that was ever seen and was not removed, with the store to which it was seen to
    /// have told everything.
    pub nodes: BTreeMap<NodeName, Option<ClusterId>>,
    /// Whether the node has just joined, and has to wait for those that were there before.
    pub joins: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verified_in: Option<String>,
    grants: Vec<WireGrant>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    claiming: Vec<WireGrant>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    giving_back: Vec<WireGrant>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireGrant {
    first: IpAddr,
    len: u8,
    epoch: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pin: Option<Pin>,
}

impl WireGrant {
    fn of(grant: &Grant) -> Self {
        Self {
            first: grant.block.address(grant.span.at()),
            len: grant.span.len(),
            epoch: grant.epoch,
            pin: grant.pin.clone(),
        }
    }

    fn read(self) -> Result<Grant, Malformed> {
        let block = Block::of(self.first);
        let span = (block.place(self.first)).and_then(|at| Span::new(at, self.len));
        let (first, len) = (self.first, self.len);
        let span = span.ok_or_else(|| {
            Malformed::new(format!(
                "{len} addresses from {first} are no aligned part of a block"
            ))
        })?;
        Ok(Grant {
            block,
            span,
            epoch: self.epoch,
            pin: self.pin,
        })
    }
}

impl Grant {
    /// Whether it has the address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let place = self.block.place(address);
        place.is_some_and(|at| self.span.mask() & 1 << at != 0)
    }
}

impl GrantsFile {
    /// Reads a file. An intent of both kinds cannot be.
    ///
    /// # Errors
    /// What is wrong, among it grants that share an address.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let wire: Wire = parse(bytes, LONGEST_FILE)?;
        require_version(wire.v)?;
        let read = |grants: Vec<WireGrant>| -> Result<Vec<Grant>, Malformed> {
            grants.into_iter().map(WireGrant::read).collect()
        };
        let grants = read(wire.grants)?;
        let mut taken: BTreeMap<Block, u64> = BTreeMap::new();
        for grant in &grants {
            let mask = taken.entry(grant.block).or_default();
            if *mask & grant.span.mask() != 0 {
                let first = grant.block.address(grant.span.at());
                return Err(Malformed::new(format!("{first} is in two grants")));
            }
            *mask |= grant.span.mask();
        }
        let intent = match (read(wire.claiming)?, read(wire.giving_back)?) {
            (claim, back) if claim.is_empty() && back.is_empty() => None,
            (claim, back) if back.is_empty() => Some(Intent::Claim(claim)),
            (claim, back) if claim.is_empty() => Some(Intent::GiveBack(back)),
            _ => return Err(Malformed::new("claiming and givingBack at once")),
        };
        Ok(Self {
            verified_in: wire.verified_in,
            grants,
            intent,
        })
    }

    /// As it is written.
    pub fn to_json(&self) -> Vec<u8> {
        let wire = |grants: &[Grant]| grants.iter().map(WireGrant::of).collect();
        let (claiming, giving_back) = match &self.intent {
            None => (Vec::new(), Vec::new()),
            Some(Intent::Claim(grants)) => (wire(grants), Vec::new()),
            Some(Intent::GiveBack(grants)) => (Vec::new(), wire(grants)),
        };
        let wire = Wire {
            v: VERSION,
            verified_in: self.verified_in.clone(),
            grants: wire(&self.grants),
            claiming,
            giving_back,
        };
        let mut text = serde_json::to_vec(&wire).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// Whether addresses may be given in that run of the kernel.
    pub fn is_verified_in(&self, boot: &str) -> bool {
        self.verified_in.as_deref() == Some(boot)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireCluster {
    v: u32,
    #[serde(default)]
    cluster: Option<ClusterId>,
    #[serde(default)]
    nodes: BTreeMap<NodeName, Option<ClusterId>>,
    #[serde(default)]
    joins: bool,
}

impl ClusterFile {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let wire: WireCluster = parse(bytes, LONGEST_FILE)?;
        require_version(wire.v)?;
        Ok(Self {
            cluster: wire.cluster,
            nodes: wire.nodes,
            joins: wire.joins,
        })
    }

    /// As it is written.
    pub fn to_json(&self) -> Vec<u8> {
        let wire = WireCluster {
            v: VERSION,
            cluster: self.cluster.clone(),
            nodes: self.nodes.clone(),
            joins: self.joins,
        };
        let mut text = serde_json::to_vec(&wire).unwrap_or_default();
        text.push(b'\n');
        text
    }
}
