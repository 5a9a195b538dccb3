//! Which grants a node can do without.

use super::interface::{Instant, Usage};
use crate::disk::Grant;
use crate::grid::{Block, Span};
use crate::record::WantRecord;
use std::collections::BTreeMap;

/// For how long what was just claimed stays, whoever wants it: somebody is about to take it.
pub(super) const FRESH: Instant = 1_000;

/// What goes back of one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spared {
    pub(super) block: Block,
    /// What the node holds of the block then.
    pub(super) keep: Vec<Grant>,
    /// What it held and does not any more.
    pub(super) give: Vec<Grant>,
}

/// What is known of the grants of a space.
pub(super) struct Holding<'s> {
    pub(super) grants: &'s [Grant],
    pub(super) usage: &'s Usage,
    /// Since when nothing of a grant has been reserved.
    pub(super) empty_since: &'s BTreeMap<(Block, Span), Instant>,
    /// When a grant was claimed, in this run.
    pub(super) claimed_at: &'s BTreeMap<(Block, Span), Instant>,
    pub(super) now: Instant,
}

impl Holding<'_> {
    fn used(&self, grant: &Grant) -> u64 {
        self.usage.get(&grant.block).copied().unwrap_or(0) & grant.span.mask()
    }

    fn is_fresh(&self, grant: &Grant) -> bool {
        let claimed = self.claimed_at.get(&(grant.block, grant.span));
        claimed.is_some_and(|at| self.now < at + FRESH)
    }

    fn loose(&self) -> impl Iterator<Item = &Grant> {
        self.grants.iter().filter(|it| it.pin.is_none())
    }

    /// The first grant that has been empty for `idle`, beyond one that stays as a spare.
    pub(super) fn idle(&self, idle: Instant) -> Option<Spared> {
        let empty: Vec<_> = self.loose().filter(|it| self.used(it) == 0).collect();
        if empty.len() < 2 {
            return None;
        }
        let since = |grant: &Grant| self.empty_since.get(&(grant.block, grant.span)).copied();
        let due = |grant: &&&Grant| since(grant).is_some_and(|since| since + idle <= self.now);
        let longest = empty.iter().filter(due).min_by_key(|grant| since(grant))?;
        Some(self.without(longest, |_| Vec::new()))
    }

    /// What others want: certain addresses, or at most `missing` of their ranges.
    pub(super) fn wanted(&self, wants: &WantRecord, missing: u32) -> Option<Spared> {
        for address in &wants.exact {
            let holds = |it: &&Grant| it.contains(*address) && !self.is_fresh(it);
            if let Some(grant) = self.loose().find(holds)
                && let Some(place) = grant.block.place(*address)
                && self.used(grant) & 1 << place == 0
            {
                return Some(self.without(grant, |span| pieces(span, !(1 << place))));
            }
        }
        if missing == 0 {
            return None;
        }
        // What nobody asks for is as good as used.
        let stays = |it: &Grant| self.used(it) | !wants.mask(it.block);
        let free = |it: &Grant| it.span.mask() & !stays(it);
        let can_spare = |it: &&Grant| free(it) != 0 && !self.is_fresh(it);
        let grant = (self.loose().filter(can_spare))
            .max_by_key(|it| (self.used(it) == 0, free(it).count_ones()))?;
        let stays = stays(grant);
        let keep = stays | free_beyond(grant.span, stays, missing);
        Some(self.without(grant, |span| pieces(span, keep)))
    }

    /// The block without what `rest` does not leave of the grant.
    fn without(&self, grant: &Grant, rest: impl Fn(Span) -> Vec<Span>) -> Spared {
        let part = |span| Grant {
            span,
            ..grant.clone()
        };
        let kept = rest(grant.span);
        let kept_mask = kept.iter().fold(0, |all, span| all | span.mask());
        let others = self.grants.iter();
        let others = others.filter(|it| it.block == grant.block && it.span != grant.span);
        let mut keep: Vec<Grant> = others.cloned().collect();
        keep.extend(kept.into_iter().map(part));
        keep.sort_by_key(|it| it.span);
        let give = pieces(grant.span, !kept_mask);
        Spared {
            block: grant.block,
            keep,
            give: give.into_iter().map(part).collect(),
        }
    }

    /// When something that is neither fresh nor idle enough now will be.
    pub(super) fn due(&self, idle: Instant) -> Option<Instant> {
        let empty: Vec<_> = self.loose().filter(|it| self.used(it) == 0).collect();
        let ends = empty.iter().filter_map(|it| {
            let since = self.empty_since.get(&(it.block, it.span))?;
            Some(since + idle)
        });
        ends.min().filter(|_| empty.len() >= 2)
    }

    /// When something that is fresh now will not be.
    pub(super) fn ripe(&self) -> Option<Instant> {
        let ends = self.loose().filter(|it| self.is_fresh(it));
        ends.filter_map(|it| Some(self.claimed_at.get(&(it.block, it.span))? + FRESH))
            .min()
    }
}

/// The aligned parts of a span whose addresses are all in `mask`.
pub(super) fn pieces(span: Span, mask: u64) -> Vec<Span> {
    let whole = span.mask();
    if whole & mask == whole {
        return vec![span];
    }
    match span.halves() {
        Some((low, high)) if whole & mask != 0 => {
            let mut all = pieces(low, mask);
            all.extend(pieces(high, mask));
            all
        }
        _ => Vec::new(),
    }
}

/// Which free addresses stay when `missing` of them go. The aligned half goes first that frees most.
fn free_beyond(span: Span, used: u64, missing: u32) -> u64 {
    let free = span.mask() & !used;
    if free.count_ones() <= missing {
        return 0;
    }
    let Some((low, high)) = span.halves() else {
        return 0;
    };
    let frees = |half: Span| (half.mask() & !used).count_ones();
    let (first, second) = if frees(high) >= frees(low) {
        (high, low)
    } else {
        (low, high)
    };
    if frees(first) >= missing {
        return free & second.mask() | free_beyond(first, used, missing);
    }
    free_beyond(second, used, missing - frees(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(at: u8, len: u8) -> Span {
        Span::new(at, len).unwrap()
    }

    #[test]
    fn the_used_part_of_a_grant_is_kept_by_aligned_parts() {
        assert_eq!(pieces(span(0, 16), 0xffff), [span(0, 16)]);
        assert_eq!(pieces(span(0, 16), 0), []);
        assert_eq!(pieces(span(0, 16), 0xff), [span(0, 8)]);
        assert_eq!(pieces(span(0, 16), 0b1011), [span(0, 2), span(3, 1)]);
    }

    #[test]
    fn no_more_goes_than_others_lack_unless_all_is_little() {
        for missing in 1..=16_u32 {
            let used = 0b11;
            let stays = free_beyond(span(0, 16), used, missing);
            let gone = (0xffff_u64 & !used & !stays).count_ones();
            assert_eq!(gone, missing.min(14), "{missing}");
        }
    }

    #[test]
    fn one_empty_grant_stays_as_a_spare() {
        let grant = |at| Grant {
            block: Block::of("10.0.0.0".parse().unwrap()),
            span: span(at, 16),
            epoch: 1,
            pin: None,
        };
        let grants = [grant(0), grant(16)];
        let empty_since = grants.iter().map(|it| ((it.block, it.span), 0)).collect();
        let (usage, claimed_at) = (BTreeMap::new(), BTreeMap::new());
        let holding = |grants| Holding {
            grants,
            usage: &usage,
            empty_since: &empty_since,
            claimed_at: &claimed_at,
            now: 60_000,
        };
        let spared = holding(&grants).idle(60_000).unwrap();
        assert_eq!((spared.keep.len(), spared.give.len()), (1, 1));
        assert_eq!(holding(&grants[..1]).idle(60_000), None);
        assert_eq!(holding(&grants).idle(60_001), None);
    }
}
