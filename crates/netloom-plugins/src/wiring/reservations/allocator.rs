//! Which address of a range set comes next.
//!
//! Round robin: the search begins after the address that was reserved last, goes through the
//! ranges in order and around, and tries that address itself at the end. So an address that was
//! just released rests as long as possible before another container gets it.

use super::address::successor;
use super::ranges::{Range, RangeSet};
use std::net::IpAddr;

/// Where addresses are taken from.
pub(crate) trait Pool {
    /// Why an address could not be taken although it may be free.
    type Error;

    /// The first address from `from` to `to`, both included, that is not known to be taken.
    fn first_free(&mut self, from: IpAddr, to: IpAddr) -> Option<IpAddr>;

    /// Takes the address; false if somebody has it.
    fn take(&mut self, address: IpAddr) -> Result<bool, Self::Error>;
}

/// Takes the next address of `set` that is neither taken nor the gateway of its range.
///
/// `last` is the address that was reserved last. It counts only while it lies inside the set.
pub(crate) fn take_next<'s, P: Pool>(
    set: &'s RangeSet,
    last: Option<IpAddr>,
    pool: &mut P,
) -> Result<Option<(IpAddr, &'s Range)>, P::Error> {
    for Stretch { range, from, to } in stretches(set.ranges(), last) {
        let mut from = Some(from);
        while let Some(next) = from.filter(|from| *from <= to) {
            let Some(address) = pool.first_free(next, to) else {
                break;
            };
            if range.gateway() != Some(address) && pool.take(address)? {
                return Ok(Some((address, range)));
            }
            from = successor(address);
        }
    }
    Ok(None)
}

/// A part of a range, in the order of the search.
struct Stretch<'s> {
    range: &'s Range,
    from: IpAddr,
    to: IpAddr,
}

fn stretches(ranges: &[Range], last: Option<IpAddr>) -> Vec<Stretch<'_>> {
    let whole = |range| Stretch {
        range,
        from: Range::start(range),
        to: Range::end(range),
    };
    let found = last.and_then(|last| {
        let index = ranges.iter().position(|range| range.contains(last))?;
        Some((index, last))
    });
    let Some((index, last)) = found else {
        return ranges.iter().map(whole).collect();
    };
    let range = &ranges[index];
    let rest = successor(last).filter(|next| *next <= range.end());
    let rest = rest.map(|from| Stretch {
        range,
        from,
        to: range.end(),
    });
    rest.into_iter()
        .chain(ranges[index + 1..].iter().map(whole))
        .chain(ranges[..index].iter().map(whole))
        .chain([Stretch {
            range,
            from: range.start(),
            to: last,
        }])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wiring::reservations::ranges::RangeText;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::convert::Infallible;

    /// A pool in memory that knows of some taken addresses only when they are tried, as the
    /// owner index does.
    struct Memory {
        taken: BTreeSet<IpAddr>,
        known: BTreeSet<IpAddr>,
    }

    impl Pool for Memory {
        type Error = Infallible;

        fn first_free(&mut self, from: IpAddr, to: IpAddr) -> Option<IpAddr> {
            let mut next = Some(from);
            while let Some(address) = next.filter(|address| *address <= to) {
                if !self.known.contains(&address) {
                    return Some(address);
                }
                next = successor(address);
            }
            None
        }

        fn take(&mut self, address: IpAddr) -> Result<bool, Infallible> {
            Ok(self.taken.insert(address))
        }
    }

    /// The reference's iterator, word for word as it behaves: a cursor, a range number, and a mark
    /// where the walk began.
    fn reference(
        ranges: &[Range],
        last: Option<IpAddr>,
        taken: &BTreeSet<IpAddr>,
    ) -> Option<IpAddr> {
        let holder = last.and_then(|last| ranges.iter().position(|range| range.contains(last)));
        let (mut index, mut cursor) = (holder.unwrap_or(0), last.filter(|_| holder.is_some()));
        let mut mark = None;
        loop {
            let now = match cursor {
                None => ranges[index].start(),
                Some(at) if at == ranges[index].end() => {
                    index = (index + 1) % ranges.len();
                    ranges[index].start()
                }
                Some(at) => successor(at).unwrap(),
            };
            cursor = Some(now);
            match mark {
                None => mark = cursor,
                Some(mark) if mark == now => return None,
                Some(_) => {}
            }
            if ranges[index].gateway() != Some(now) && !taken.contains(&now) {
                return cursor;
            }
        }
    }

    /// Up to three ranges inside 10.0.0.0/27, apart from each other, with any gateway.
    fn any_set() -> impl Strategy<Value = RangeSet> {
        let cuts = proptest::collection::btree_set(1_u32..31, 2..=6);
        (cuts, proptest::collection::vec(0_u32..33, 3)).prop_map(|(cuts, gateways)| {
            let ip = |host: u32| IpAddr::from((0x0a00_0000_u32 + host).to_be_bytes());
            let cuts: Vec<u32> = cuts.into_iter().collect();
            let texts: Vec<RangeText> = cuts
                .chunks_exact(2)
                .zip(gateways)
                .map(|(ends, gateway)| RangeText {
                    subnet: Some("10.0.0.0/27".parse().unwrap()),
                    start: Some(ip(ends[0])),
                    end: Some(ip(ends[1])),
                    gateway: (gateway < 31).then(|| ip(gateway)),
                })
                .collect();
            RangeSet::new(&texts).unwrap()
        })
    }

    proptest! {
        #[test]
        fn the_next_address_is_the_one_the_reference_would_take(
            set in any_set(),
            last in proptest::option::of(0_u32..40),
            taken in proptest::collection::btree_set(0_u32..32, 0..32),
            unknown in proptest::collection::btree_set(0_u32..32, 0..8),
        ) {
            let ip = |host: u32| IpAddr::from((0x0a00_0000_u32 + host).to_be_bytes());
            let last = last.map(ip);
            let taken: BTreeSet<IpAddr> = taken.into_iter().map(ip).collect();
            let unknown: BTreeSet<IpAddr> = unknown.into_iter().map(ip).collect();
            let expected = reference(set.ranges(), last, &taken);
            let known = taken.difference(&unknown).copied().collect();
            let mut pool = Memory { taken, known };
            let Ok(got) = take_next(&set, last, &mut pool);
            prop_assert_eq!(got.map(|(address, _)| address), expected);
            if let Some((address, range)) = got {
                prop_assert!(range.contains(address) && range.gateway() != Some(address));
            }
        }
    }

    fn set(subnet: &str) -> RangeSet {
        let subnet = Some(subnet.parse().unwrap());
        RangeSet::new(&[RangeText {
            subnet,
            ..RangeText::default()
        }])
        .unwrap()
    }

    #[test]
    fn a_pool_is_given_out_completely_and_then_it_is_exhausted() {
        let set = set("10.0.0.0/29");
        let mut pool = Memory {
            taken: BTreeSet::new(),
            known: BTreeSet::new(),
        };
        let mut last = None;
        let mut given = Vec::new();
        while let Ok(Some((address, _))) = take_next(&set, last, &mut pool) {
            given.push(address.to_string());
            last = Some(address);
        }
        assert_eq!(
            given,
            ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]
        );
    }

    #[test]
    fn the_last_ipv6_address_of_all_pools_ends_the_search() {
        let set = set("feff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126");
        // The next one is the first of multicast.
        let end = 0xff << 120;
        let all: BTreeSet<IpAddr> = (1..4)
            .map(|before: u128| IpAddr::from((end - before).to_be_bytes()))
            .collect();
        let mut pool = Memory {
            taken: all,
            known: BTreeSet::new(),
        };
        let Ok(got) = take_next(&set, None, &mut pool);
        assert_eq!(got, None);
    }
}
