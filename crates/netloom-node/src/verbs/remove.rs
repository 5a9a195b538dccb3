//! `remove`: forget a node that is gone for good.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::cli::Remove;
use crate::store::Settings;

pub(super) fn remove(args: &Remove) -> Result<ExitCode> {
    let settings = Settings::new(&args.store)?;
    let _ = (&settings, &args.node, args.fenced);
    bail!("not there yet");
}
