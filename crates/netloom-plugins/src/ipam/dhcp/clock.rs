//! Time and chance, apart from what uses them.

use std::time::Duration;

/// A point in time: what has passed since the machine was started, sleep included. It means the
/// same before and after a restart of the daemon, and nobody can set it.
pub(super) type Moment = Duration;

/// Now.
pub(super) fn now() -> Moment {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(
        time.tv_sec.try_into().unwrap_or_default(),
        time.tv_nsec.try_into().unwrap_or_default(),
    )
}

/// Numbers for transaction ids and for spreading load: they need to differ, not to be secret.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// The same numbers for the same seed.
    #[cfg(any(test, fuzzing))]
    pub(super) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// Seeded by the kernel.
    pub(super) fn new() -> Self {
        use std::hash::{BuildHasher, Hasher, RandomState};
        Self(RandomState::new().build_hasher().finish())
    }

    /// The next number (splitmix64).
    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A transaction id.
    pub(super) fn xid(&mut self) -> u32 {
        (self.number() >> 32) as u32
    }

    /// Anything from nothing to `span`.
    pub(super) fn up_to(&mut self, span: Duration) -> Duration {
        let nanos = span.as_nanos() as u64;
        Duration::from_nanos(self.number() % nanos.saturating_add(1).max(1))
    }

    /// Around `middle`, by at most `span` more or less.
    pub(super) fn around(&mut self, middle: Duration, span: Duration) -> Duration {
        (middle + self.up_to(span * 2)).saturating_sub(span)
    }
}
