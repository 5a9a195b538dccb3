//! What went wrong, and the exit status that says whose fault it is.

use std::fmt;

/// The result of anything a pod needs.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Exit statuses, as container engines have them.
pub mod status {
    /// The pod could not be made, or the question was wrong: nothing ran.
    pub const NOT_STARTED: u8 = 125;
    /// The command is there, but cannot be executed.
    pub const NOT_EXECUTABLE: u8 = 126;
    /// The command is not there.
    pub const NOT_FOUND: u8 = 127;
    /// Added to the number of the signal that ended the command.
    pub const BY_SIGNAL: u8 = 128;
    /// The command was killed (SIGKILL).
    pub const KILLED: u8 = BY_SIGNAL + 9;
}

/// One line of words, and the exit status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Error {
    /// What failed, on what, and what would be right.
    pub words: String,
    /// One of [`status`].
    pub status: u8,
}

impl Error {
    /// A failure before the command ran: status 125.
    pub fn new(words: impl Into<String>) -> Self {
        Self::with_status(status::NOT_STARTED, words)
    }

    pub(crate) fn with_status(status: u8, words: impl Into<String>) -> Self {
        let words = words.into();
        Self { words, status }
    }

    /// What was attempted, on what, and what the kernel said.
    pub(crate) fn of(doing: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self::new(format!("{doing}: {cause}"))
    }
}

impl From<netloom_kernel::Error> for Error {
    fn from(error: netloom_kernel::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<netloom_runtime::Error> for Error {
    fn from(error: netloom_runtime::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// Says what was done when a call failed.
pub(crate) trait Doing<T> {
    /// `words` are made only on a failure.
    fn doing<W: fmt::Display>(self, words: impl FnOnce() -> W) -> Result<T>;
}

impl<T, E: fmt::Display> Doing<T> for std::result::Result<T, E> {
    fn doing<W: fmt::Display>(self, words: impl FnOnce() -> W) -> Result<T> {
        self.map_err(|cause| Error::of(words(), cause))
    }
}
