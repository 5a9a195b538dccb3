//! Until when a caller waits for a plugin, and how it changes its mind.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::retry_on_intr;

use crate::Error;

/// Ends calls that are under way: whoever holds a clone may cancel, from any thread, and plugins that
/// were given it are killed with their process groups. It cannot be taken back.
///
/// Its descriptor becomes readable when it is cancelled, and stays so, for callers with an event loop.
#[derive(Clone, Debug)]
pub struct Cancellation(Arc<OwnedFd>);

impl Cancellation {
    /// Not cancelled yet.
    ///
    /// # Errors
    /// When the process has no descriptor left (eventfd(2)).
    pub fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(fd)))
    }

    /// Cancels. A second time does nothing.
    pub fn cancel(&self) {
        // It fails only when the counter is full, and then it has been cancelled.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    /// Whether it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let mut fds = [PollFd::new(self, PollFlags::IN)];
        let now = Timespec::default();
        retry_on_intr(|| poll(&mut fds, Some(&now))).is_ok_and(|ready| ready > 0)
    }
}

impl AsFd for Cancellation {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The bounds of one call. Without any it may take for ever.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    deadline: Option<Instant>,
    cancellations: Vec<Cancellation>,
}

impl Limits {
    /// No bounds.
    pub fn none() -> Self {
        Self::default()
    }

    /// Ends the call at `deadline`, or before, if it has an earlier one.
    #[must_use]
    pub fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some(self.deadline.map_or(deadline, |it| it.min(deadline)));
        self
    }

    /// Ends the call when `cancellation` is cancelled. There may be several.
    #[must_use]
    pub fn cancelled_by(mut self, cancellation: &Cancellation) -> Self {
        self.cancellations.push(cancellation.clone());
        self
    }

    /// When the call ends.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The time that is left; `None` is no deadline.
    pub fn time_left(&self) -> Option<Duration> {
        let now = Instant::now();
        self.deadline.map(|it| it.saturating_duration_since(now))
    }

    /// What can cancel the call.
    pub fn cancellations(&self) -> &[Cancellation] {
        &self.cancellations
    }

    /// Whether somebody cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancellations.iter().any(Cancellation::is_cancelled)
    }

    /// Whether there is any bound.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.deadline.is_some() || !self.cancellations.is_empty()
    }

    /// Fails if `plugin` must not be started any more.
    ///
    /// # Errors
    /// [`Error::Cancelled`] or [`Error::NoTime`].
    pub fn allow(&self, plugin: &Path) -> Result<(), Error> {
        let plugin = || plugin.to_owned();
        if self.is_cancelled() {
            return Err(Error::Cancelled {
                plugin: plugin(),
                stderr: String::new(),
            });
        }
        match self.time_left() {
            Some(Duration::ZERO) => Err(Error::NoTime { plugin: plugin() }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cancels_is_heard_by_every_clone_and_for_good() {
        let cancellation = Cancellation::new().unwrap();
        let limits = Limits::none().cancelled_by(&cancellation.clone());
        assert!(!limits.is_cancelled() && limits.allow(Path::new("p")).is_ok());
        cancellation.cancel();
        cancellation.cancel();
        assert!(limits.is_cancelled() && limits.is_cancelled());
        let refused = limits.allow(Path::new("p"));
        assert!(matches!(refused, Err(Error::Cancelled { .. })));
    }

    #[test]
    fn of_two_deadlines_the_earlier_counts() {
        let (now, hour) = (Instant::now(), Duration::from_secs(3600));
        let limits = Limits::none().until(now + hour).until(now);
        assert_eq!(limits.deadline(), Some(now));
        assert_eq!(limits.clone().until(now + hour).deadline(), Some(now));
        let refused = limits.allow(Path::new("p"));
        assert!(matches!(refused, Err(Error::NoTime { .. })));
    }
}
