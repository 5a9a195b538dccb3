//! The socket for nf_tables that the parts of a plugin share.

use super::SetupError;
use netloom_kernel::Result;
use netloom_kernel::nft::Socket;

/// An nf_tables socket. A kernel without nf_tables has none, and then nothing is there to remove.
///
/// Whoever deletes something with it and then removes a link must keep it open until the link is gone.
/// When an nf_tables socket closes, the kernel waits 10 ms or more for the readers of what was deleted
/// shortly before. Meanwhile it holds a lock that the removal of a link needs.
#[derive(Debug)]
pub(crate) struct Nftables(Result<Socket>);

impl Nftables {
    pub(crate) fn open() -> std::result::Result<Self, SetupError> {
        match Socket::open() {
            Err(error) if !error.is_unsupported() => {
                Err(SetupError::kernel("failed to reach nf_tables")(error))
            }
            opened => Ok(Self(opened)),
        }
    }

    /// The socket, to make something with it. Fails in a kernel without nf_tables.
    pub(crate) fn socket(&self) -> Result<&Socket> {
        self.0.as_ref().map_err(Clone::clone)
    }

    /// Reads or removes by the socket. What the kernel does not support counts as absent.
    pub(crate) fn with<T: Default>(&self, work: impl FnOnce(&Socket) -> Result<T>) -> Result<T> {
        match self.0.as_ref().map(work) {
            Err(_) => Ok(T::default()),
            Ok(Err(error)) if error.is_unsupported() => Ok(T::default()),
            Ok(outcome) => outcome,
        }
    }
}
