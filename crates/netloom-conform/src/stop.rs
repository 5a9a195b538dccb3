//! Why a case does not pass.

/// Why a case does not pass.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The plugin does not do what the case asks for: what was expected, and what came.
    Wrong(String),
    /// The case cannot be asked of this plugin here, for this reason.
    Skip(String),
    /// The kit could not do its own part.
    Broken(String),
}

impl From<netloom_kernel::Error> for Stop {
    fn from(error: netloom_kernel::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<netloom_kernel::netns::OpenError> for Stop {
    fn from(error: netloom_kernel::netns::OpenError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

pub(crate) type Check<T = ()> = Result<T, Stop>;

/// The plugin is wrong, in these words.
pub(crate) fn wrong<T>(words: impl Into<String>) -> Check<T> {
    Err(Stop::Wrong(words.into()))
}

/// The case does not apply, in these words.
pub(crate) fn skip<T>(words: impl Into<String>) -> Check<T> {
    Err(Stop::Skip(words.into()))
}
