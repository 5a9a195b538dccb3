//! Errors of the configuration.

use crate::wiring::setup_error::invalid;
use netloom_spec::Error;

/// Upstream's words before whatever is wrong with the configuration.
pub(super) fn refused(message: impl std::fmt::Display) -> Error {
    invalid(format!("failed to parse config: {message}"))
}

/// The same for an error that somebody else made.
pub(super) fn told(mut error: Error) -> Error {
    error.msg = format!("failed to parse config: {}", error.msg);
    error
}
