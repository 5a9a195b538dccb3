//! What can go wrong with the directory of reservations.

use crate::wiring::lock::LockError;
use netloom_spec::code;
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// Why the directory of reservations could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("cannot {operation} {}: {errno}", .path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        errno: Errno,
    },
    #[error(transparent)]
    Locked(LockError),
    #[error("{} is not a regular file: remove it", .0.display())]
    NotAFile(PathBuf),
}

impl From<LockError> for StoreError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Io {
                operation,
                path,
                errno,
            } => Self::Io {
                operation,
                path,
                errno,
            },
            held @ LockError::Held { .. } => Self::Locked(held),
        }
    }
}

impl StoreError {
    /// Whether it is for want of room on the disk.
    pub(crate) fn is_for_want_of_room(&self) -> bool {
        matches!(self, Self::Io { errno, .. } if matches!(*errno, Errno::NOSPC | Errno::DQUOT))
    }

    /// Whether the same call may succeed later with nothing but time passing.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Locked(_) => true,
            Self::Io { errno, .. } => is_transient(*errno),
            Self::NotAFile(_) => false,
        }
    }

    /// The CNI code of the failure.
    pub(crate) fn code(&self) -> u32 {
        if self.is_transient() {
            code::TRY_AGAIN_LATER
        } else {
            code::IO
        }
    }
}

/// Whether it is for want of something that others use and may give back.
pub(crate) fn is_transient(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOSPC | Errno::DQUOT | Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN
    )
}

/// For `map_err`: names the operation and its object.
pub(crate) fn failed(operation: &'static str, path: &Path) -> impl FnOnce(Errno) -> StoreError {
    move |errno| StoreError::Io {
        operation,
        path: path.to_owned(),
        errno,
    }
}
