//! What can go wrong with the directory of reservations.

use rustix::io::Errno;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why the directory of reservations could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("cannot {operation} {}: {errno}", .path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        errno: Errno,
    },
    #[error(
        "lock {} is still held by {holder} after {} s; try again when that process is done",
        .path.display(), .waited.as_secs_f32()
    )]
    Locked {
        path: PathBuf,
        holder: String,
        waited: Duration,
    },
}

impl StoreError {
    /// Whether the same call may succeed later with nothing but time passing.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Locked { .. } => true,
            Self::Io { errno, .. } => is_transient(*errno),
        }
    }
}

/// Whether it is for want of something that others use and may give back.
pub(super) fn is_transient(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOSPC | Errno::DQUOT | Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN
    )
}

/// For `map_err`: names the operation and its object.
pub(super) fn failed(operation: &'static str, path: &Path) -> impl FnOnce(Errno) -> StoreError {
    move |errno| StoreError::Io {
        operation,
        path: path.to_owned(),
        errno,
    }
}

/// For `map_err` on calls of the standard library.
pub(super) fn failed_std(
    operation: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> StoreError {
    move |error| {
        let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
        StoreError::Io {
            operation,
            path: path.to_owned(),
            errno,
        }
    }
}
