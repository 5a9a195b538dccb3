//! Rates, and the kernel's unit of time for them.

/// What one tick is: 64 ns since Linux 2.6.31 (`/proc/net/psched` tells it).
const NANOSECONDS_PER_TICK: u64 = 64;

/// The longest time that the kernel keeps for a token bucket: it counts nanoseconds in 32 bits.
pub const MOST_TICKS: u32 = u32::MAX / NANOSECONDS_PER_TICK as u32;

/// Microseconds as the kernel counts them in traffic control; [`MOST_TICKS`] for longer times.
#[must_use]
pub fn ticks(microseconds: u64) -> u32 {
    let ticks = microseconds.saturating_mul(1000) / NANOSECONDS_PER_TICK;
    u32::try_from(ticks).map_or(MOST_TICKS, |ticks| ticks.min(MOST_TICKS))
}

/// The kernel's `struct tc_ratespec`. A rate that does not fit in it goes in an attribute as well.
pub(super) fn spec(bytes_per_second: u64) -> [u8; 12] {
    let mut spec = [0; 12];
    let short = u32::try_from(bytes_per_second).unwrap_or(u32::MAX);
    spec[8..].copy_from_slice(&short.to_ne_bytes());
    spec
}

/// Whether a rate needs the attribute.
pub(super) fn is_long(bytes_per_second: u64) -> bool {
    bytes_per_second > u64::from(u32::MAX)
}

/// The rate in a `struct tc_ratespec`.
pub(super) fn parse(spec: &[u8]) -> Option<u64> {
    word(spec, 8).map(u64::from)
}

/// The number at an offset.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_64_nanoseconds_and_there_is_a_most() {
        assert_eq!(ticks(1000), 15_625);
        assert_eq!(ticks(1), 15);
        assert_eq!(ticks(u64::MAX), MOST_TICKS);
        assert_eq!(ticks(4_294_967), 67_108_859);
        assert_eq!(ticks(4_294_968), MOST_TICKS);
    }

    #[test]
    fn a_long_rate_is_cut_in_the_short_field() {
        assert_eq!(parse(&spec(125_000)), Some(125_000));
        assert_eq!(parse(&spec(1 << 40)), Some(u32::MAX.into()));
        assert!(is_long(1 << 32) && !is_long((1 << 32) - 1));
    }
}
