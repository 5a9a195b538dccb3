//! Where to look for free addresses, and which to claim.
//!
//! With a fixed grid every key can be computed: a window is up to 64 neighbouring blocks, read at once.

use super::interface::{Found, StoreOp};
use super::random::Random;
use crate::grid::{BLOCK, Block, Family, Span, number};
use crate::message::WantedSet;
use crate::record::{BlockRecord, Entry};
use crate::removal::has_lapsed;
use crate::{NodeName, SpaceName, key};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// How many blocks a window has.
const WINDOW: u128 = 64;

/// The windows of a set of ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Windows {
    family: Family,
    /// First and last address of each range.
    ranges: Vec<(u128, u128)>,
}

/// Neighbouring blocks, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) first: Block,
    pub(super) last: Block,
}

/// A block as it was read.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// At which revision it was changed last; `None` if there is no record.
    pub(super) changed: Option<u64>,
    /// `None` where the record could not be understood, so that it is left alone.
    pub(super) record: Option<BlockRecord>,
}

/// The blocks of a window as they were read.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// The store's revision then.
    pub(super) revision: u64,
    blocks: BTreeMap<Block, Seen>,
}

/// What to claim of a block.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) block: Block,
    pub(super) spans: Vec<Span>,
}

/// How much of what a window offers is granted to somebody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fullness {
    pub(super) taken: u64,
    pub(super) all: u64,
}

impl Fullness {
    /// Whether little is left, so that nobody takes more than is needed.
    pub(super) fn is_tight(self) -> bool {
        self.is_above(75)
    }

    fn is_above(self, percent: u64) -> bool {
        self.taken * 100 > self.all * percent
    }
}

impl Windows {
    pub(super) fn new(set: &WantedSet) -> Self {
        let ranges = set.ranges.iter();
        Self {
            family: (set.ranges.first()).map_or(Family::V4, |range| Family::of(range.start)),
            ranges: ranges
                .map(|it| (number(it.start), number(it.end)))
                .collect(),
        }
    }

    fn blocks_of((start, end): (u128, u128)) -> (u128, u128) {
        (start / u128::from(BLOCK), end / u128::from(BLOCK))
    }

    fn windows_in(range: (u128, u128)) -> u128 {
        let (first, last) = Self::blocks_of(range);
        (last - first) / WINDOW + 1
    }

    /// How many there are.
    pub(super) fn count(&self) -> u128 {
        self.ranges
            .iter()
            .map(|range| Self::windows_in(*range))
            .sum()
    }

    /// One of them, by its number.
    pub(super) fn get(&self, mut index: u128) -> Option<Window> {
        for range in &self.ranges {
            let count = Self::windows_in(*range);
            if index < count {
                let (first, last) = Self::blocks_of(*range);
                let from = first + index * WINDOW;
                let to = last.min(from + WINDOW - 1);
                let block = |number| Block::holding(self.family, number * u128::from(BLOCK));
                return Some(Window {
                    first: block(from),
                    last: block(to),
                });
            }
            index -= count;
        }
        None
    }

    /// The number of a window that holds the block.
    pub(super) fn index_of(&self, wanted: Block) -> Option<u128> {
        let mut before = 0;
        for range in &self.ranges {
            let (first, last) = Self::blocks_of(*range);
            let at = wanted.base() / u128::from(BLOCK);
            if wanted.family() == self.family && (first..=last).contains(&at) {
                return Some(before + (at - first) / WINDOW);
            }
            before += Self::windows_in(*range);
        }
        None
    }

    /// The bits of the block's addresses that lie in the ranges.
    pub(super) fn mask(&self, block: Block) -> u64 {
        if block.family() != self.family {
            return 0;
        }
        let masks = self
            .ranges
            .iter()
            .map(|(start, end)| block.mask_of(*start, *end));
        masks.fold(0, |all, mask| all | mask)
    }
}

impl Window {
    /// Only this block.
    pub(super) fn of(block: Block) -> Self {
        Self {
            first: block,
            last: block,
        }
    }

    /// How it is read.
    pub(super) fn read(self, space: &SpaceName) -> StoreOp {
        StoreOp::Range {
            from: key::block(space, self.first),
            to: key::block(space, self.last) + "\0",
        }
    }

    fn blocks(self) -> impl Iterator<Item = Block> {
        let (first, last) = (self.first.base(), self.last.base());
        let family = self.first.family();
        let count = (last - first) / u128::from(BLOCK);
        (0..=count).map(move |at| Block::holding(family, first + at * u128::from(BLOCK)))
    }

    /// What a read of it says.
    pub(super) fn view(self, space: &SpaceName, found: &Found) -> View {
        let absent = |block| {
            let seen = Seen {
                changed: None,
                record: Some(BlockRecord::default()),
            };
            (block, seen)
        };
        let mut blocks: BTreeMap<Block, Seen> = self.blocks().map(absent).collect();
        for stored in &found.stored {
            if let Some((of, block)) = key::parse_block(&stored.key)
                && of == *space
                && let Some(seen) = blocks.get_mut(&block)
            {
                *seen = Seen {
                    changed: Some(stored.revision),
                    record: BlockRecord::parse(&stored.value).ok(),
                };
            }
        }
        View {
            revision: found.revision,
            blocks,
        }
    }
}

impl View {
    /// One of its blocks.
    pub(super) fn get(&self, block: Block) -> Option<&Seen> {
        self.blocks.get(&block)
    }

    /// Takes out addresses that are kept for a pod no longer, and whose node is not there to say so.
    pub(super) fn drop_lapsed(
        &mut self,
        now: u64,
        is_known: impl Fn(&NodeName) -> bool,
        spares: impl Fn(&Entry) -> bool,
    ) {
        for record in self
            .blocks
            .values_mut()
            .filter_map(|seen| seen.record.as_mut())
        {
            record.retain(|it| spares(it) || !has_lapsed(it, now, &is_known));
        }
    }

    /// Every block that was understood.
    pub(super) fn records(&self) -> impl Iterator<Item = (Block, &Seen, &BlockRecord)> {
        (self.blocks.iter()).filter_map(|(block, seen)| Some((*block, seen, seen.record.as_ref()?)))
    }

    /// How full it is, as far as the ranges go. What was not understood counts as taken.
    pub(super) fn fullness(&self, windows: &Windows) -> Fullness {
        let mut fullness = Fullness::default();
        for (block, seen) in &self.blocks {
            let mask = windows.mask(*block);
            let taken = seen.record.as_ref().map_or(u64::MAX, BlockRecord::taken);
            fullness.taken += u64::from((mask & taken).count_ones());
            fullness.all += u64::from(mask.count_ones());
        }
        fullness
    }

    /// The nodes that hold most of it, largest first, and how much.
    pub(super) fn holders(&self, windows: &Windows) -> Vec<(NodeName, u32)> {
        let mut held: BTreeMap<&NodeName, u32> = BTreeMap::new();
        for (block, _, record) in self.records() {
            let mask = windows.mask(block);
            for entry in record.entries() {
                *held.entry(&entry.node).or_default() += (entry.span.mask() & mask).count_ones();
            }
        }
        let mut held: Vec<_> = held
            .into_iter()
            .map(|(name, n)| (name.clone(), n))
            .collect();
        held.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        held.retain(|(_, count)| *count > 0);
        held
    }

    /// Chooses what to claim for `count` pods: first where the node holds something, then where nobody
    /// does, then where most is free. `size` is the size of a grant in a roomy pool.
    pub(super) fn choose(
        &self,
        windows: &Windows,
        node: &NodeName,
        count: u32,
        size: u8,
        random: &mut Random,
    ) -> Option<Choice> {
        let fullness = self.fullness(windows);
        let size = if fullness.is_above(90) {
            1
        } else if fullness.is_above(75) {
            size.min(4)
        } else {
            size
        };
        let mut ranked: Vec<(u32, Block, u64, u64)> = Vec::new();
        for (block, _, record) in self.records() {
            let usable = windows.mask(block) & !record.taken();
            let is_own = |entry: &Entry| entry.node == *node && entry.pin.is_none();
            let rank = if record.entries().iter().any(is_own) {
                0
            } else {
                1 + record.taken().count_ones()
            };
            if usable != 0 {
                ranked.push((rank, block, usable, record.taken()));
            }
        }
        ranked.sort_by_key(|it| it.0);
        // In a full window everybody would want the same few blocks.
        let best = ranked.first()?.0;
        let slack = if best == 0 || !fullness.is_above(50) {
            0
        } else {
            64
        };
        let candidates: Vec<_> = (ranked.iter()).filter(|it| it.0 <= best + slack).collect();
        let (_, block, usable, taken) = **random.choose(&candidates)?;
        let spans = spans(usable, taken, size, count);
        (!spans.is_empty()).then_some(Choice { block, spans })
    }

    /// A free address, and in which block; the first one at or after `from`, or else the first of all.
    pub(super) fn first_free(&self, windows: &Windows, from: Block) -> Option<IpAddr> {
        let (before, after): (Vec<_>, Vec<_>) =
            self.records().partition(|(block, ..)| *block < from);
        after
            .into_iter()
            .chain(before)
            .find_map(|(block, _, record)| {
                let usable = windows.mask(block) & !record.taken();
                (usable != 0).then(|| block.address(usable.trailing_zeros() as u8))
            })
    }
}

/// Free spans of at most `size` that have at least `count` usable addresses together, as far as there
/// are so many.
fn spans(usable: u64, mut taken: u64, size: u8, count: u32) -> Vec<Span> {
    let mut chosen: Vec<Span> = Vec::new();
    let mut got = 0;
    while got < count {
        let mut best: Option<(u32, Span)> = None;
        let mut len = size;
        while len > 0 && best.is_none() {
            for at in (0..BLOCK).step_by(usize::from(len)) {
                let Some(span) = Span::new(at, len) else {
                    continue;
                };
                let good = (span.mask() & usable & !taken).count_ones();
                let is_free = span.mask() & taken == 0 && good * 2 >= u32::from(len);
                if is_free && best.is_none_or(|(most, _)| good > most) {
                    best = Some((good, span));
                }
            }
            len /= 2;
        }
        let Some((good, span)) = best.filter(|(good, _)| *good > 0) else {
            break;
        };
        taken |= span.mask();
        got += good;
        chosen.push(span);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::WantedRange;

    fn windows(ranges: &[(&str, &str)]) -> Windows {
        let range = |(start, end): &(&str, &str)| WantedRange {
            start: start.parse().unwrap(),
            end: end.parse().unwrap(),
        };
        Windows::new(&WantedSet {
            ranges: ranges.iter().map(range).collect(),
            address: None,
        })
    }

    #[test]
    fn windows_cover_every_block_of_every_range_and_no_other() {
        let windows = windows(&[("10.0.0.70", "10.0.0.200"), ("10.1.0.0", "10.1.255.255")]);
        assert_eq!(windows.count(), 1 + 16);
        let mut blocks = Vec::new();
        for index in 0..windows.count() {
            for block in windows.get(index).unwrap().blocks() {
                assert_eq!(windows.index_of(block), Some(index));
                blocks.push(block.address(0).to_string());
            }
        }
        assert_eq!(blocks.len(), 3 + 1024);
        assert_eq!(
            blocks[..4],
            ["10.0.0.64", "10.0.0.128", "10.0.0.192", "10.1.0.0"]
        );
        assert_eq!(windows.get(17), None);
    }

    #[test]
    fn the_last_window_of_all_ipv6_addresses_is_one() {
        let windows = windows(&[("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")]);
        let last = windows.get(windows.count() - 1).unwrap();
        assert_eq!(
            last.last.address(63).to_string(),
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
        );
    }

    #[test]
    fn a_grant_is_as_large_as_asked_or_the_free_rest() {
        assert_eq!(spans(u64::MAX, 0, 16, 1), [Span::new(0, 16).unwrap()]);
        // Where the pool begins at .2, a span that has it all comes first.
        assert_eq!(spans(!3, 0, 16, 1), [Span::new(16, 16).unwrap()]);
        assert_eq!(spans(u64::MAX, !(1 << 5), 16, 1), [Span::single(5)]);
        assert_eq!(
            spans(0b110, !0b110, 1, 5),
            [Span::single(1), Span::single(2)]
        );
        assert_eq!(spans(0, u64::MAX, 16, 1), []);
    }
}
