//! Start and end of the daemon.

use super::super::flags::Flags;
use super::super::log;
use super::super::store::{Store, directory};
use super::error::DaemonError;
use super::listen::Listening;
use super::poller::{Poller, Token};
use super::serve::Daemon;
use crate::wiring::state_file;
use netloom_kernel::daemon::Termination;
use rustix::process::{Resource, getrlimit, setrlimit};
use std::fs;
use std::io;
use std::path::Path;

/// Serves until SIGTERM or SIGINT.
pub(super) fn run(flags: Flags) -> Result<(), DaemonError> {
    // Before anything is opened that could be taken for a passed socket.
    let socket = format!("{}{}", flags.host_prefix, flags.socket);
    let listening = Listening::open(Path::new(&socket))?;
    let termination = Termination::listen()?;
    let poller = Poller::new()?;
    allow_many_descriptors();
    let directory = directory(&listening.path);
    let store = match Store::open(directory.clone()) {
        Ok(Some(store)) => store,
        Ok(None) => return Err(DaemonError::Kept(directory)),
        Err(cause) => return Err(DaemonError::Leases { directory, cause }),
    };
    let pidfile = flags.pidfile.clone();
    if let Some(path) = &pidfile {
        write_pidfile(path).map_err(|cause| DaemonError::Pidfile {
            path: path.clone(),
            cause,
        })?;
    }
    poller.add(&termination, Token::Termination)?;
    poller.add(&listening.socket, Token::Listener)?;
    log::line(&format!("listening at {}", listening.path.display()));
    let mut daemon = Daemon::new(flags, poller, listening, store);
    daemon.resume()?;
    let outcome = daemon.serve();
    let listening = daemon.end();
    for removed in [listening.remove(), pidfile.map_or(Ok(()), fs::remove_file)] {
        if let Err(error) = removed {
            log::line(&format!("socket or pidfile not removed: {error}"));
        }
    }
    outcome
}

/// An acquisition holds two or three descriptors, and hundreds may run at once.
fn allow_many_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // With fewer it still works, for fewer at once.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Written in full or not at all: who reads it sends signals.
fn write_pidfile(path: &Path) -> io::Result<()> {
    state_file::replace_public(path, std::process::id().to_string().as_bytes())
}
