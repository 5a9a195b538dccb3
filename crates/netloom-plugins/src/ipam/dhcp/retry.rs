//! When to send again what was not answered.

use super::clock::Dice;
use std::time::Duration;

/// How long to try, as the daemon was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    /// How long to wait for the answer to the first try; it doubles with each.
    pub(super) timeout: Duration,
    /// The longest wait between two tries.
    pub(super) resend_max: Duration,
    /// When to give up altogether.
    pub(super) give_up: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            resend_max: Duration::from_secs(62),
            give_up: Duration::from_secs(208),
        }
    }
}

/// The first tries follow each other fast, doubling: what is lost first is lost because the link
/// has just come up, and a bridge's port forwards nothing for a moment.
const FAST: Duration = Duration::from_millis(250);
const FAST_TRIES: u32 = 4;
/// After that RFC 2131, section 4.1: 4 s, doubling, each a second more or less.
const SLOW: Duration = Duration::from_secs(4);
const JITTER: Duration = Duration::from_secs(1);

impl Patience {
    /// How long to wait for an answer to the try of that number, counted from 0.
    pub(super) fn wait(&self, tries: u32, dice: &mut Dice) -> Duration {
        let (first, doublings) = match tries.checked_sub(FAST_TRIES) {
            None => (FAST, tries),
            Some(slow) => (SLOW, slow),
        };
        let middle = first.saturating_mul(1 << doublings.min(16));
        let patience = self.timeout.saturating_mul(1 << tries.min(16));
        dice.around(middle.min(self.resend_max), JITTER.min(middle / 4))
            .min(patience)
            .min(self.resend_max)
    }
}

/// While a lease still lasts: half of what is left, but not more often than once a minute
/// (RFC 2131, section 4.4.5). A lease so short that this would be one try gets some more.
pub(super) fn halfway(now: Duration, end: Duration) -> Duration {
    const MINUTE: Duration = Duration::from_secs(60);
    let left = end.saturating_sub(now);
    let least = if left > 2 * MINUTE { MINUTE } else { SLOW };
    now + (left / 2).max(least).min(left)
}
