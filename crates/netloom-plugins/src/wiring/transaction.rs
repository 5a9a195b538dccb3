//! Changes to nf_tables that depend on what was read before.

use super::SetupError;
use super::nftables::Nftables;
use netloom_kernel::nft::{Batch, Socket};
use netloom_kernel::{Error, Result};
use netloom_plugin::{Found, Sweep};

/// How often a change is tried again because others changed nf_tables in between. Each time one
/// of those others has succeeded.
const ATTEMPTS: usize = 100;

/// Reads, and changes what was read, as one step: when anything in nf_tables changes in between,
/// the kernel refuses and it is all done again. `plan` reads what it needs and fills the
/// transaction; one that stays empty is not sent.
pub(crate) fn atomically(
    socket: &Socket,
    mut plan: impl FnMut(&Socket, &mut Batch<'_>) -> Result<()>,
) -> Result<()> {
    let mut attempt = 1;
    loop {
        let mut batch = socket.batch_of_generation(socket.generation()?);
        let outcome = plan(socket, &mut batch).and_then(|()| batch.commit());
        match outcome {
            Err(error) if is_outdated(&error) && attempt < ATTEMPTS => attempt += 1,
            outcome => return outcome,
        }
    }
}

/// Finds what is nobody's of a kind, in the kernel's nf_tables, and removes it if that is asked for.
/// `plan` tells what it found and fills the transaction.
pub(crate) fn sweep(
    sweep: Sweep<'_>,
    kind: &str,
    mut plan: impl FnMut(&Socket, &mut Batch<'_>) -> Result<Vec<String>>,
) -> std::result::Result<Vec<Found>, netloom_spec::Error> {
    let mut found = Vec::new();
    let work = |socket: &Socket| {
        let mut look = |socket: &Socket, batch: &mut Batch<'_>| {
            found = plan(socket, batch)?;
            Ok(())
        };
        match sweep.removes() {
            true => atomically(socket, look),
            false => look(socket, &mut socket.batch()),
        }
    };
    let done = Nftables::open()?.with(work);
    done.map_err(SetupError::kernel(format!("failed to sweep {kind}")))?;
    Ok(found.into_iter().map(Found::collectable).collect())
}

/// The kernel's word for a transaction that was planned on an older state.
fn is_outdated(error: &Error) -> bool {
    error.errno() == rustix::io::Errno::RESTART.raw_os_error()
}
