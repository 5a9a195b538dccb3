//! Knowing which plugin runs, for a caller that gets signals meant for it.

use std::fmt;

/// Told of every plugin that is executed in a process group of its own. What the terminal sends at
/// Ctrl-C does not reach such a group: the caller must pass it on.
pub trait Watch: Send + Sync + fmt::Debug {
    /// A plugin is about to be started.
    fn starting(&self);

    /// It runs, and leads this process group.
    fn started(&self, group: u32);

    /// It has ended, or could not be started. Its group's number may become another's.
    fn ended(&self);
}
