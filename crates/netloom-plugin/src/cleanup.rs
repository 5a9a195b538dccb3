//! Removing several things although one of them fails.

use crate::undo::append_detail;
use netloom_spec::Error;

/// Collects the outcome of every step of a DEL or GC, so that one failure does not keep the later
/// steps from running and no failure is lost.
///
/// ```
/// # use netloom_plugin::{Cleanup, Error, code};
/// let mut cleanup = Cleanup::new();
/// cleanup.step("release the addresses", Err(Error::new(code::TRY_AGAIN_LATER, "pool is locked")));
/// cleanup.step("remove the link", Ok::<(), Error>(()));
/// let error = cleanup.finish().unwrap_err();
/// assert_eq!((error.code, error.msg.as_str()), (11, "pool is locked"));
/// ```
#[derive(Debug, Default)]
pub struct Cleanup {
    failed: Option<Error>,
}

impl Cleanup {
    /// Nothing has failed yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes the outcome of one step. `what` says what it was to do: `"remove the link eth0"`.
    pub fn step(&mut self, what: &str, outcome: Result<(), impl Into<Error>>) {
        let Err(failure) = outcome.map_err(Into::into) else {
            return;
        };
        match &mut self.failed {
            None => self.failed = Some(failure),
            Some(first) => append_detail(first, &format!("also failed: {what}: {failure}")),
        }
    }

    /// Success if every step succeeded.
    ///
    /// # Errors
    /// The first failure, with the later ones in its details.
    pub fn finish(self) -> Result<(), Error> {
        self.failed.map_or(Ok(()), Err)
    }
}
