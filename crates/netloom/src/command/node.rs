//! `netloom node …`: the cluster's daemon, a program of its own.
//!
//! It has an async runtime and TLS, which the command and the plugins are free of: so it is executed, as
//! git executes what it does not do itself.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

const PROGRAM: &str = "netloom-node";

/// Becomes the daemon's program.
pub(super) fn run(arguments: &[OsString]) -> Result<()> {
    let program = find()?;
    let error = Command::new(&program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot execute {}", program.display()))
}

/// The program beside this one, else one in PATH.
pub(crate) fn find() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where netloom is")?;
    let beside = own.with_file_name(PROGRAM);
    if beside.is_file() {
        return Ok(beside);
    }
    in_path(PROGRAM).with_context(|| {
        format!(
            "{PROGRAM} is not installed: neither beside {} nor in PATH. In netloom's source, `cargo build \
             --release -p {PROGRAM}` makes it (apt-get install protobuf-compiler libprotobuf-dev)",
            own.display()
        )
    })
}

/// A program in PATH.
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}
