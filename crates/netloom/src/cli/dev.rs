//! The arguments of `netloom dev`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// The project, with a directory `conf` in it.
    #[arg(default_value = ".", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// A line for /bin/sh that builds it [default: `cargo build` where there is a Cargo.toml, `make`
    /// where there is a Makefile, and nothing for a script].
    #[arg(long, value_name = "BUILD")]
    pub(crate) cmd: Option<String>,
    /// Options of `netloom try`, such as `--pods 2`.
    #[arg(last = true, value_name = "TRY OPTIONS")]
    pub(crate) options: Vec<OsString>,
}
