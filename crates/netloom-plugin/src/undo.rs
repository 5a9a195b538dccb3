//! The explicit stack of what a failed ADD must take back.

use crate::panics;
use netloom_spec::Error;
use std::borrow::Cow;
use std::fmt;

/// What an ADD has created so far, each with the function that removes it.
///
/// Nothing happens on drop: the framework runs the stack, last entry first, when ADD fails, panics
/// or cannot deliver its result, and forgets it when ADD succeeds. A removal must treat what is
/// absent as success.
#[derive(Default)]
pub struct Undo<'r> {
    steps: Vec<Step<'r>>,
}

struct Step<'r> {
    what: Cow<'static, str>,
    remove: Box<dyn FnOnce() -> Result<(), Error> + 'r>,
}

impl<'r> Undo<'r> {
    /// An empty stack.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers the removal of something that was just created. `what` says in an error message
    /// what the removal does: `"remove the link veth1234"`.
    pub fn on_failure(
        &mut self,
        what: impl Into<Cow<'static, str>>,
        remove: impl FnOnce() -> Result<(), Error> + 'r,
    ) {
        self.steps.push(Step {
            what: what.into(),
            remove: Box::new(remove),
        });
    }

    /// How many removals are registered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether nothing is registered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Runs every removal, last registered first, past failures and panics, and returns the
    /// original error with the failures of the clean-up appended to its details.
    ///
    /// The framework calls this for the stack it hands to ADD. A plugin calls it only for a stack
    /// of its own.
    #[must_use = "this is the error to report"]
    pub fn run(self, cause: Error) -> Error {
        let mut error = cause;
        for Step { what, remove } in self.steps.into_iter().rev() {
            if let Err(failure) = panics::caught(&what, remove) {
                append_detail(&mut error, &format!("clean-up failed: {what}: {failure}"));
            }
        }
        error
    }
}

impl fmt::Debug for Undo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.steps.iter().map(|step| &step.what))
            .finish()
    }
}

/// Appends a clause to the details of an error; clauses are separated by `"; "`.
pub(crate) fn append_detail(error: &mut Error, clause: &str) {
    if !error.details.is_empty() {
        error.details.push_str("; ");
    }
    error.details.push_str(clause);
}
