//! A panic becomes a CNI error: a runtime must get a JSON document, whatever happens.

use netloom_spec::{Error, code};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work` and turns a panic into an internal error that names `who`.
///
/// Whatever `work` was changing may be half changed after a panic. The callers look only at what is
/// made to survive that: the undo stack, and whether anything reached stdout.
pub(crate) fn caught<T>(who: &str, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        Err(Error::new(
            code::INTERNAL,
            format!("{who}: panicked: {}", words(payload.as_ref())),
        )
        .with_details("this is a defect of the plugin; stderr says where it happened"))
    })
}

fn words(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "no message"
    }
}
