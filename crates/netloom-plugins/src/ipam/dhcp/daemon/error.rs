//! What can go wrong with the daemon itself.

use super::listen::ListenError;
use std::io;
use std::path::PathBuf;

/// Why the daemon ends, or does not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum DaemonError {
    #[error("Error getting listener: {0}")]
    Listen(#[from] ListenError),
    #[error("Error writing pidfile {}: {cause}", path.display())]
    Pidfile { path: PathBuf, cause: io::Error },
    #[error("leases in {}: {cause}", directory.display())]
    Leases {
        directory: PathBuf,
        cause: io::Error,
    },
    #[error("another daemon keeps the leases in {}", .0.display())]
    Kept(PathBuf),
    #[error("cannot wait for events: {0}")]
    Events(#[from] rustix::io::Errno),
    #[error(transparent)]
    Kernel(#[from] netloom_kernel::Error),
}
