//! Rates, and the kernel's unit of time for them.

/// What one tick is: 64 ns since Linux 2.6.31 (`/proc/net/psched` tells it).
const NANOSECONDS_PER_TICK: u64 = 64;

/// The longest time that the kernel keeps for a token bucket, 274 s: it is told ticks in 32 bits, and
/// counts nanoseconds in 64.
pub const MOST_TICKS: u32 = u32::MAX;
/// The longest time, in nanoseconds, from which the kernel computes the longest packet that it lets
/// through a token bucket: here it counts in 32 bits.
const MOST_FOR_A_PACKET: u64 = u32::MAX as u64;

/// Microseconds as the kernel counts them in traffic control; [`MOST_TICKS`] for longer times.
#[must_use]
pub fn ticks(microseconds: u64) -> u32 {
    let ticks = microseconds.saturating_mul(1000) / NANOSECONDS_PER_TICK;
    u32::try_from(ticks).unwrap_or(MOST_TICKS)
}

/// The fewest ticks in which so many bytes pass at a rate in bytes per second, of which there is one.
#[must_use]
pub fn ticks_of(bytes: u32, rate: u64) -> u32 {
    let nanoseconds = (u64::from(bytes) * 1_000_000_000).div_ceil(rate);
    u32::try_from(nanoseconds.div_ceil(NANOSECONDS_PER_TICK)).unwrap_or(MOST_TICKS)
}

/// How many bytes pass in so many ticks, as the kernel counts them.
#[must_use]
pub fn passing(ticks: u32, rate: u64) -> u64 {
    in_time(u64::from(ticks) * NANOSECONDS_PER_TICK, rate)
}

/// The longest packet that the kernel lets through a token bucket; it cuts up or drops longer ones.
#[must_use]
pub fn longest_packet(ticks: u32, rate: u64) -> u64 {
    let time = u64::from(ticks) * NANOSECONDS_PER_TICK;
    in_time(time.min(MOST_FOR_A_PACKET), rate)
}

fn in_time(nanoseconds: u64, rate: u64) -> u64 {
    let bytes = u128::from(nanoseconds) * u128::from(rate) / 1_000_000_000;
    u64::try_from(bytes).unwrap_or(u64::MAX)
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
        assert_eq!(ticks(4_294_968), 67_108_875);
        assert_eq!(ticks(274_877_906), 4_294_967_281);
        assert_eq!(ticks(274_877_907), MOST_TICKS);
    }

    #[test]
    fn bytes_and_ticks_are_converted_as_the_kernel_does() {
        // 1514 bytes at 1 Gbit/s take 12.112 µs, that is 189.25 ticks.
        assert_eq!(ticks_of(1514, 125_000_000), 190);
        assert_eq!(passing(189, 125_000_000), 1512);
        assert_eq!(passing(190, 125_000_000), 1520);
        assert_eq!(ticks_of(u32::MAX, 1), MOST_TICKS);
        assert_eq!(ticks_of(1, u64::MAX), 1);
        assert_eq!(passing(MOST_TICKS, 125_000), 34_359_738);
        assert_eq!(passing(MOST_TICKS, u64::MAX), u64::MAX);
        assert_eq!(longest_packet(MOST_TICKS, 125), 536);
        assert_eq!(longest_packet(190, 125_000_000), 1520);
    }

    #[test]
    fn a_long_rate_is_cut_in_the_short_field() {
        assert_eq!(parse(&spec(125_000)), Some(125_000));
        assert_eq!(parse(&spec(1 << 40)), Some(u32::MAX.into()));
        assert!(is_long(1 << 32) && !is_long((1 << 32) - 1));
    }
}
