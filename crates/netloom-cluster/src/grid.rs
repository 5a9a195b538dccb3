//! The fixed grid: blocks of 64 addresses, and spans inside them.
//!
//! Blocks belong to the space and not to a range, so any mixture of ranges meets in the same records.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many addresses a block has.
pub const BLOCK: u8 = 64;

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4; a block is a /26.
    V4,
    /// IPv6; a block is a /122.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }

    /// The highest number of an address.
    pub fn last(self) -> u128 {
        match self {
            Self::V4 => u128::from(u32::MAX),
            Self::V6 => u128::MAX,
        }
    }
}

/// The address as a number.
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The address with that number. An IPv4 number is cut to 32 bits.
pub fn address(family: Family, number: u128) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits(number as u32).into(),
        Family::V6 => Ipv6Addr::from_bits(number).into(),
    }
}

/// 64 addresses that begin at a multiple of 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    family: Family,
    base: u128,
}

impl Block {
    /// The block that an address lies in.
    pub fn of(address: IpAddr) -> Self {
        Self::holding(Family::of(address), number(address))
    }

    /// The block that the address with that number lies in.
    pub fn holding(family: Family, number: u128) -> Self {
        let number = number.min(family.last());
        Self {
            family,
            base: number - number % u128::from(BLOCK),
        }
    }

    /// IPv4 or IPv6.
    pub fn family(self) -> Family {
        self.family
    }

    /// The number of its first address.
    pub fn base(self) -> u128 {
        self.base
    }

    /// Its address at a place from 0 to 63.
    pub fn address(self, at: u8) -> IpAddr {
        address(self.family, self.base + u128::from(at % BLOCK))
    }

    /// The place of an address in it.
    pub fn place(self, address: IpAddr) -> Option<u8> {
        (Self::of(address) == self).then(|| (number(address) - self.base) as u8)
    }

    /// The bits of the addresses from `start` to `end`, both included and as numbers, that lie in it.
    pub fn mask_of(self, start: u128, end: u128) -> u64 {
        let last = self.base + u128::from(BLOCK - 1);
        if start > last || end < self.base || start > end {
            return 0;
        }
        let from = start.max(self.base) - self.base;
        let to = end.min(last) - self.base;
        (u64::MAX >> (63 - (to - from) as u32)) << from as u32
    }
}

/// A part of a block whose length is a power of two and that begins at a multiple of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    at: u8,
    len: u8,
}

impl Span {
    /// A whole block.
    pub const WHOLE: Self = Self { at: 0, len: BLOCK };

    /// `None` unless `len` is a power of two up to 64, and `at` a multiple of it inside the block.
    pub fn new(at: u8, len: u8) -> Option<Self> {
        let is_aligned = len.is_power_of_two() && len <= BLOCK && at < BLOCK && at % len == 0;
        is_aligned.then_some(Self { at, len })
    }

    /// One address.
    pub fn single(at: u8) -> Self {
        Self {
            at: at % BLOCK,
            len: 1,
        }
    }

    /// The place of its first address.
    pub fn at(self) -> u8 {
        self.at
    }

    /// How many addresses it has.
    pub fn len(self) -> u8 {
        self.len
    }

    /// Never: there is no span of no address.
    pub fn is_empty(self) -> bool {
        false
    }

    /// A bit for each address; the lowest is the block's first.
    pub fn mask(self) -> u64 {
        (u64::MAX >> (BLOCK - self.len)) << self.at
    }

    /// Its two halves, unless it is one address.
    pub fn halves(self) -> Option<(Self, Self)> {
        let len = self.len / 2;
        let half = |at| Self { at, len };
        (len > 0).then(|| (half(self.at), half(self.at + len)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_aligned_or_it_is_none() {
        for (at, len, is_one) in [
            (0, 64, true),
            (16, 16, true),
            (63, 1, true),
            (8, 16, false),
            (0, 3, false),
            (0, 0, false),
            (64, 1, false),
            (0, 128, false),
        ] {
            assert_eq!(Span::new(at, len).is_some(), is_one, "{at} {len}");
        }
    }

    #[test]
    fn masks_of_halves_are_the_mask_of_the_whole() {
        let whole = Span::WHOLE;
        assert_eq!(whole.mask(), u64::MAX);
        let (low, high) = whole.halves().unwrap();
        assert_eq!(low.mask() | high.mask(), whole.mask());
        assert_eq!(low.mask() & high.mask(), 0);
        assert_eq!(Span::single(63).mask(), 1 << 63);
        assert!(Span::single(5).halves().is_none());
    }

    #[test]
    fn the_last_block_of_a_family_ends_with_its_last_address() {
        for last in ["255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
            let last: IpAddr = last.parse().unwrap();
            let block = Block::of(last);
            assert_eq!(block.address(63), last);
            assert_eq!(block.place(last), Some(63));
            assert_eq!(block.mask_of(number(last), number(last)), 1 << 63);
            assert_eq!(block.mask_of(0, u128::MAX), u64::MAX);
        }
    }
}
