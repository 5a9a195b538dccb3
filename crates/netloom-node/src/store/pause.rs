//! Pauses between failures.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Call;
use crate::identity::random;

/// Each is longer than the one before, up to this.
const LONGEST: Duration = Duration::from_secs(5);
const FIRST: Duration = Duration::from_millis(100);

/// How long to wait after the next failure.
#[derive(Debug, Default)]
pub(super) struct Pause(Duration);

impl Pause {
    pub(super) fn succeeded(&mut self) {
        self.0 = Duration::ZERO;
    }

    /// How long to wait after this failure.
    pub(super) fn after_failure(&mut self) -> Duration {
        self.0 = (self.0 * 2).clamp(FIRST, LONGEST);
        // From half of it to all of it, so that nodes do not come together.
        let half = self.0 / 2;
        let most = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).max(1);
        half + Duration::from_millis(random() % most)
    }
}

/// Calls that come meanwhile are refused at once: whoever waits for them need not wait for the store.
pub(super) async fn refuse_calls_for(pause: Duration, calls: &mut mpsc::Receiver<Call>) {
    let until = Instant::now() + pause;
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(until) => return,
            call = calls.recv() => match call {
                Some(call) => call.refuse("the store does not answer"),
                None => return,
            },
        }
    }
}
