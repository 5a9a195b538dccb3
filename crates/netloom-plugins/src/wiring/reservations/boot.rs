//! In which run of the kernel a reservation was made.
//!
//! Beside the reference's format, not in it: an extended attribute of the reservation's file. What
//! bears none, as what the reference made or what is on a filesystem without them, counts as of
//! this run: a clock that was wrong at start would make anything else a guess.

use rustix::fs::{XattrFlags, fgetxattr, fsetxattr};
use std::os::fd::AsFd;

/// The run that a reservation is of.
const MADE_IN: &str = "user.netloom.boot";
/// On a network's directory: the run in which those of earlier ones were last reclaimed.
const RECLAIMED_IN: &str = "user.netloom.reclaimed";

/// Notes on a reservation that it is of this run. Where that cannot be noted it is not.
pub(crate) fn mark(file: impl AsFd, boot: &str) {
    let _ = fsetxattr(file, MADE_IN, boot.as_bytes(), XattrFlags::empty());
}

/// Whether a reservation is known to be of an earlier run.
pub(crate) fn is_earlier(file: impl AsFd, boot: &str) -> bool {
    noted(file, MADE_IN).is_some_and(|made_in| made_in != boot.as_bytes())
}

/// Whether the network's reservations of earlier runs were reclaimed in this one.
pub(crate) fn is_reclaimed(directory: impl AsFd, boot: &str) -> bool {
    noted(directory, RECLAIMED_IN).is_some_and(|reclaimed_in| reclaimed_in == boot.as_bytes())
}

/// Notes that they were.
pub(crate) fn set_reclaimed(directory: impl AsFd, boot: &str) {
    let flags = XattrFlags::empty();
    let _ = fsetxattr(directory, RECLAIMED_IN, boot.as_bytes(), flags);
}

fn noted(file: impl AsFd, name: &str) -> Option<Vec<u8>> {
    let mut value = [0_u8; 64];
    let length = fgetxattr(file, name, &mut value).ok()?;
    (length > 0).then(|| value[..length].to_vec())
}
