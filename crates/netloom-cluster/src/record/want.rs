//! What a node lacks.

use super::node::LONGEST_NODE;
use crate::Malformed;
use crate::grid::{Block, Family, number};
use crate::malformed::{VERSION, parse, require_version};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// So many ranges are told one by one. Of more, only where the first begins and the last ends.
const MOST_RANGES: usize = 64;

/// The addresses from `start` to `end`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedRange {
    /// The first.
    pub start: IpAddr,
    /// The last, of the same family and not before the first.
    pub end: IpAddr,
}

/// How many addresses a node lacks. It asks other nodes to give back what they do not need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantRecord {
    v: u32,
    /// How many.
    pub missing: u32,
    /// In which of the space's ranges. None: in any, as records of earlier releases mean it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ranges: Vec<WantedRange>,
    /// The addresses that it must be, for pods whose address is static.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub exact: BTreeSet<IpAddr>,
}

impl WantedRange {
    /// Whether the address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.start.is_ipv4() && self.start <= address && address <= self.end
    }
}

impl Default for WantRecord {
    fn default() -> Self {
        Self::new(0)
    }
}

impl WantRecord {
    /// Of a node that lacks so many, anywhere.
    pub fn new(missing: u32) -> Self {
        Self {
            v: VERSION,
            missing,
            ranges: Vec::new(),
            exact: BTreeSet::new(),
        }
    }

    /// The same of one that lacks them in these ranges, which are in ascending order.
    #[must_use]
    pub fn within(mut self, ranges: &[WantedRange]) -> Self {
        self.ranges = match ranges {
            [first, .., last] if ranges.len() > MOST_RANGES => vec![WantedRange {
                start: first.start,
                end: last.end,
            }],
            few => few.to_vec(),
        };
        self
    }

    /// The bits of a block's addresses that would do for those that are missing.
    pub fn mask(&self, block: Block) -> u64 {
        if self.ranges.is_empty() {
            return u64::MAX;
        }
        let family = |range: &&WantedRange| Family::of(range.start) == block.family();
        let ranges = self.ranges.iter().filter(family);
        let masks = ranges.map(|it| block.mask_of(number(it.start), number(it.end)));
        masks.fold(0, |all, mask| all | mask)
    }

    /// What several nodes lack: one record for each part of the space in which something is missing.
    pub fn together<'r>(records: impl IntoIterator<Item = &'r Self>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for record in records {
            match all.iter_mut().find(|it| it.ranges == record.ranges) {
                Some(one) => {
                    one.missing = one.missing.saturating_add(record.missing);
                    one.exact.extend(&record.exact);
                }
                None => all.push(record.clone()),
            }
        }
        all
    }

    /// Whether nothing is lacking.
    pub fn is_empty(&self) -> bool {
        self.missing == 0 && self.exact.is_empty()
    }

    /// Reads a record.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let record: Self = parse(bytes, LONGEST_NODE)?;
        require_version(record.v)?;
        for WantedRange { start, end } in &record.ranges {
            if Family::of(*start) != Family::of(*end) || start > end {
                return Err(Malformed::new(format!(
                    "ranges: from {start} to {end}: the first address is expected, and the last of its family"
                )));
            }
        }
        Ok(record)
    }

    /// As it is stored.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: &str, end: &str) -> WantedRange {
        WantedRange {
            start: start.parse().unwrap(),
            end: end.parse().unwrap(),
        }
    }

    fn block(first: &str) -> Block {
        Block::of(first.parse().unwrap())
    }

    #[test]
    fn a_record_without_ranges_means_any_and_is_written_as_it_always_was() {
        let old = br#"{"v":1,"missing":4,"exact":["10.9.0.7"]}"#;
        let read = WantRecord::parse(old).unwrap();
        assert_eq!(read.mask(block("10.9.0.0")), u64::MAX);
        assert_eq!(read.mask(block("fd00::")), u64::MAX);
        assert_eq!(read.to_json(), old);
    }

    #[test]
    fn a_record_with_ranges_means_these_and_no_others() {
        let ranges = [
            range("10.9.0.1", "10.9.0.3"),
            range("10.9.0.8", "10.9.1.255"),
        ];
        let record = WantRecord::new(1).within(&ranges);
        assert_eq!(WantRecord::parse(&record.to_json()).as_ref(), Ok(&record));
        assert_eq!(record.mask(block("10.9.0.0")), !0xff | 0b1110);
        assert_eq!(record.mask(block("10.9.1.0")), u64::MAX);
        assert_eq!(record.mask(block("10.9.2.0")), 0);
        assert_eq!(record.mask(block("fd00::")), 0);
    }

    #[test]
    fn many_ranges_are_told_as_one_that_any_node_reads() {
        let one = |number: u32| {
            let at = std::net::Ipv6Addr::from_bits(u128::MAX - 4000 + u128::from(number) * 2);
            range(&at.to_string(), &at.to_string())
        };
        for count in [MOST_RANGES as u32, MOST_RANGES as u32 + 1, 1024] {
            let ranges: Vec<WantedRange> = (0..count).map(one).collect();
            let record = WantRecord::new(1).within(&ranges);
            assert_eq!(WantRecord::parse(&record.to_json()), Ok(record.clone()));
            let holds =
                |ip: IpAddr| record.mask(Block::of(ip)) & 1 << Block::of(ip).place(ip).unwrap();
            assert!(ranges.iter().all(|it| holds(it.start) != 0));
        }
    }

    #[test]
    fn ranges_that_are_none_are_refused() {
        for (start, end) in [("10.9.0.7", "10.9.0.6"), ("10.9.0.7", "fd00::1")] {
            let text =
                format!(r#"{{"v":1,"missing":1,"ranges":[{{"start":"{start}","end":"{end}"}}]}}"#);
            let error = WantRecord::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(&format!("from {start} to {end}")), "{error}");
        }
    }

    #[test]
    fn wants_of_the_same_ranges_are_one() {
        let (here, there) = (
            [range("10.9.0.1", "10.9.0.3")],
            [range("10.9.1.1", "10.9.1.3")],
        );
        let wants = [
            WantRecord::new(1).within(&here),
            WantRecord::new(2).within(&there),
            WantRecord::new(u32::MAX).within(&here),
        ];
        let all = WantRecord::together(&wants);
        let missing: Vec<u32> = all.iter().map(|it| it.missing).collect();
        assert_eq!(missing, [u32::MAX, 2]);
    }
}
