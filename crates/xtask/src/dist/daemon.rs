//! The daemon of a cluster's node. It has an async runtime and TLS, and its client of etcd wants protoc: a
//! machine without that delivers everything else.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::link::Linking;
use crate::packages;
use crate::workspace::Workspace;

/// The program, its crate, and its packages.
pub(crate) const NAME: &str = "netloom-node";

/// The daemon is to be no larger than this, in bytes.
const GOAL: u64 = 8_000_000;

/// Builds the release of the daemon into the folder of the other programs, or says what it lacks.
pub(crate) fn build(workspace: &Workspace, bin: &Path) -> Result<Option<PathBuf>> {
    let missing = packages::missing(packages::FOR_DAEMON);
    if !missing.is_empty() {
        println!("    no {NAME}: {} not installed", missing.join(", "));
        return Ok(None);
    }
    let built = Linking::build_daemon(workspace, &["--package", NAME, "--bin", NAME])?;
    let daemon = bin.join(NAME);
    super::place(workspace, &built, &daemon)?;
    Ok(Some(daemon))
}

/// What is promised of it. Its size is a goal: dist says when it is missed.
pub(crate) fn check(daemon: &Path) -> Result<()> {
    let size = fs::metadata(daemon)
        .with_context(|| daemon.display().to_string())?
        .len();
    if size > GOAL {
        println!("    {NAME}: {size} bytes, {GOAL} is the goal");
    }
    super::is_static(daemon)
}
