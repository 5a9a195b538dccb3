//! Who may give which addresses of a block.

use crate::grid::Span;
use crate::malformed::{VERSION, parse, require_version};
use crate::{Malformed, NodeName};
use serde::{Deserialize, Serialize};

/// A record of a block is refused beyond this many bytes. 64 single addresses with the longest names
/// stay below.
pub const LONGEST_BLOCK: usize = 64 * 1024;

/// The longest name or UID of a pod.
pub const LONGEST_POD: usize = 330;

/// The record of a block: at most 64 grants, which share no address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockRecord {
    entries: Vec<Entry>,
}

/// One grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which addresses of the block.
    pub span: Span,
    /// The node that may give them.
    pub node: NodeName,
    /// The store's revision at which the record was read for this claim. Two claims of a block that
    /// both succeeded never have the same, and the later one has the greater.
    pub epoch: u64,
    /// The pod that a single address is for.
    pub pin: Option<Pin>,
}

/// For whom a single address is, when it is static or kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// `namespace/name`, or the container's id where there is no pod.
    pub pod: String,
    /// The pod's UID; empty if it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Whether a pod has it now.
    pub state: PinState,
    /// What becomes of it when the pod is gone.
    #[serde(default, skip_serializing_if = "Keep::is_no")]
    pub keep: Keep,
    /// In seconds since 1970, until when a kept address waits for its pod. `None`: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// Whether a pod has its address, or comes back for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PinState {
    /// A pod has it.
    Used,
    /// Its pod is gone and may come back.
    Kept,
}

/// Whether an address waits for its pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// It goes back.
    #[default]
    No,
    /// For so many seconds.
    Seconds(u64),
    /// Until the pod comes back.
    Always,
}

impl Keep {
    pub(crate) fn is_no(&self) -> bool {
        *self == Self::No
    }

    /// Until when an address waits that became free at `now`, in seconds since 1970. `None`: it goes
    /// back. `Some(None)`: for ever.
    pub fn until(self, now: u64) -> Option<Option<u64>> {
        match self {
            Self::No => None,
            Self::Seconds(seconds) => Some(Some(now.saturating_add(seconds))),
            Self::Always => Some(None),
        }
    }
}

impl Pin {
    fn check(&self, span: Span) -> Result<(), Malformed> {
        let is_name = |text: &str| text.len() <= LONGEST_POD && !text.contains(char::is_control);
        if self.pod.is_empty() || !is_name(&self.pod) || !is_name(&self.uid) {
            let (pod, uid) = (&self.pod, &self.uid);
            return Err(Malformed::new(format!(
                "pod {pod:?}, uid {uid:?}: a name is expected, of at most {LONGEST_POD} bytes"
            )));
        }
        if span.len() != 1 {
            let (at, len) = (span.at(), span.len());
            return Err(Malformed::new(format!(
                "the grant at {at} has {len} addresses, and a pod has one"
            )));
        }
        Ok(())
    }
}

/// As it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u32,
    grants: Vec<WireEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireEntry {
    at: u8,
    len: u8,
    node: NodeName,
    epoch: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pin: Option<Pin>,
}

impl BlockRecord {
    /// Reads a record.
    ///
    /// # Errors
    /// What is wrong, among it grants that share an address.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let wire: Wire = parse(bytes, LONGEST_BLOCK)?;
        require_version(wire.v)?;
        let mut record = Self::default();
        for entry in wire.grants {
            let (at, len) = (entry.at, entry.len);
            let span = Span::new(at, len).ok_or_else(|| {
                Malformed::new(format!(
                    "grant at {at} of length {len}: the length is a power of two up to 64, and the \
                     place a multiple of it below 64"
                ))
            })?;
            if let Some(pin) = &entry.pin {
                pin.check(span)?;
            }
            let added = record.add(Entry {
                span,
                node: entry.node,
                epoch: entry.epoch,
                pin: entry.pin,
            });
            if !added {
                return Err(Malformed::new(format!(
                    "the grant at {at} of length {len} has addresses of another one"
                )));
            }
        }
        Ok(record)
    }

    /// As it is stored; the grants in the order of their places.
    pub fn to_json(&self) -> Vec<u8> {
        let grants = self.entries.iter().map(|entry| WireEntry {
            at: entry.span.at(),
            len: entry.span.len(),
            node: entry.node.clone(),
            epoch: entry.epoch,
            pin: entry.pin.clone(),
        });
        let wire = Wire {
            v: VERSION,
            grants: grants.collect(),
        };
        // Nothing of it can fail: no map has keys that are no text.
        serde_json::to_vec(&wire).unwrap_or_default()
    }

    /// Its grants, in the order of their places.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether nobody has anything of it, so that it needs no record.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A bit for each address that is granted to somebody.
    pub fn taken(&self) -> u64 {
        self.entries.iter().fold(0, |all, it| all | it.span.mask())
    }

    /// Adds a grant; false if somebody has one of its addresses.
    #[must_use]
    pub fn add(&mut self, entry: Entry) -> bool {
        if self.taken() & entry.span.mask() != 0 {
            return false;
        }
        let at = self.entries.partition_point(|it| it.span < entry.span);
        self.entries.insert(at, entry);
        true
    }

    /// The grant that is exactly this one: of the node, with the span and the epoch.
    pub fn find(&self, span: Span, node: &NodeName, epoch: u64) -> Option<&Entry> {
        (self.entries.iter()).find(|it| it.is(span, node, epoch))
    }

    /// Removes every grant that is not to be kept, and tells how many.
    pub fn retain(&mut self, keep: impl FnMut(&Entry) -> bool) -> usize {
        let before = self.entries.len();
        self.entries.retain(keep);
        before - self.entries.len()
    }

    /// The grants, to change what is written beside their spans.
    pub fn pins_mut(&mut self) -> impl Iterator<Item = (Span, &mut NodeName, &mut u64, &mut Pin)> {
        self.entries.iter_mut().filter_map(|entry| {
            Some((
                entry.span,
                &mut entry.node,
                &mut entry.epoch,
                entry.pin.as_mut()?,
            ))
        })
    }
}

impl Entry {
    /// Whether it is that grant of that node, and not a later one of the same addresses.
    pub fn is(&self, span: Span, node: &NodeName, epoch: u64) -> bool {
        self.span == span && self.epoch == epoch && self.node == *node
    }
}
