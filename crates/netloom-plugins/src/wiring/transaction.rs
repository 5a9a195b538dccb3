//! Changes to nf_tables that depend on what was read before.

use super::SetupError;
use super::nftables::Nftables;
use netloom_kernel::nft::{Batch, Socket};
use netloom_kernel::{Error, Result};
use netloom_plugin::{Found, Sweep};

/// How often a change is tried because others changed nf_tables in between. Each time one of the others
/// has succeeded, so this does not go on for long.
const ATTEMPTS: usize = 100;

/// Reads and then changes nf_tables, as one step. If anything in nf_tables changes in between, the kernel
/// refuses the transaction, and all is done again. `plan` reads what it needs and fills the transaction;
/// an empty one is not sent.
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

/// Finds the objects of a kind in nf_tables that belong to no valid attachment, and removes them if that
/// is asked for. `plan` returns what it found and fills the transaction.
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

/// The kernel's error for a transaction that was planned on an older state.
fn is_outdated(error: &Error) -> bool {
    error.errno() == rustix::io::Errno::RESTART.raw_os_error()
}
