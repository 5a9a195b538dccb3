//! The manual pages, from the definitions of the command line.

use std::path::Path;

use anyhow::{Context, Result};
use clap::CommandFactory;

use crate::cli::Cli;

/// Writes `netloom.1`, and a page for every verb, into a directory.
pub(super) fn write(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    let command = Cli::command().name("netloom");
    clap_mangen::generate_to(command, dir).with_context(|| format!("write into {}", dir.display()))
}
