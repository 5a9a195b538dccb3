//! `/dev` of a pod: the host's own nodes of a few devices that do no harm, bound one by one, so that no
//! mount of the pod has to allow nodes that the pod makes.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::piece::Piece;
use crate::error::{Doing, Result};

const NODES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
];

/// Opens the host's nodes, and with `tty` the pod's terminal.
pub(super) fn open(tty: bool) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    for name in NODES {
        let source = Path::new("/dev").join(name);
        pieces.push(Piece::open(&source, source.clone(), false)?);
    }
    if tty {
        let terminal = rustix::termios::ttyname(rustix::stdio::stdin(), Vec::new())
            .doing(|| "find the terminal")?;
        let terminal = terminal.to_string_lossy().into_owned();
        pieces.push(Piece::open(Path::new(&terminal), "/dev/console", false)?);
    }
    Ok(pieces)
}

/// Fills the pod's `/dev`.
pub(super) fn fill(pieces: Vec<Piece>) -> Result<()> {
    for piece in pieces {
        piece.attach()?;
    }
    for (to, name) in LINKS {
        symlink(to, name).doing(|| format!("make {name:?} in the pod"))?;
    }
    Ok(())
}
