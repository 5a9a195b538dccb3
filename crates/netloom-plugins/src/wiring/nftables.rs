//! The way to nf_tables.

use super::SetupError;
use netloom_kernel::Result;
use netloom_kernel::nft::Socket;

/// An nf_tables socket, or none in a kernel without nf_tables: nothing is there then.
///
/// Whoever deletes by it and then removes a link keeps it open until the link is gone. When an
/// nf_tables socket closes, the kernel waits for the readers of everything that was deleted
/// shortly before, 10 ms or more, and holds a lock that the removal of any link wants too.
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

    /// To make something, which a kernel without nf_tables cannot.
    pub(crate) fn socket(&self) -> Result<&Socket> {
        self.0.as_ref().map_err(Clone::clone)
    }

    /// Reads or removes. What the kernel lacks support for is not there.
    pub(crate) fn with<T: Default>(&self, work: impl FnOnce(&Socket) -> Result<T>) -> Result<T> {
        match self.0.as_ref().map(work) {
            Err(_) => Ok(T::default()),
            Ok(Err(error)) if error.is_unsupported() => Ok(T::default()),
            Ok(outcome) => outcome,
        }
    }
}
