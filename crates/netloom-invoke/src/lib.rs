//! Find and execute one CNI plugin.
//!
//! The [`Exec`] trait is the seam between those who need a plugin executed (a runtime, a plugin
//! that delegates) and the way it is executed: [`ProcessExec`] starts the executable found in
//! `CNI_PATH`, [`InProcessExec`] calls plugins linked into the caller. An embedding program may
//! bring its own.
//!
//! On top of the trait are the three things one does with a plugin: [`add`], [`run`] (every
//! command without a result) and [`version_info`]. [`Within`] bounds a call by a time or by somebody
//! who may cancel it.
//!
//! ```
//! use netloom_invoke::{Exec, InProcessExec, Env, version_info};
//! use std::io::Write;
//!
//! fn tiny(_: &Env, _: &[u8], stdout: &mut dyn Write, _: &mut dyn Write) -> i32 {
//!     let reply = br#"{"cniVersion":"1.1.0","supportedVersions":["1.0.0","1.1.0"]}"#;
//!     stdout.write_all(reply).map_or(1, |()| 0)
//! }
//!
//! # fn main() -> Result<(), netloom_invoke::Error> {
//! let exec = InProcessExec::new().with("tiny", tiny);
//! let path = exec.find_in_path("tiny", &[])?;
//! let info = version_info(&exec, &path)?;
//! assert_eq!(info.supported_versions, ["1.0.0", "1.1.0"]);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod call;
mod env;
mod error;
mod exec;
mod find;
mod in_process;
mod invocation;
mod limits;
mod outcome;
mod process;
mod quote;
mod stderr;
mod watch;

pub use call::{add, run, version_info};
pub use env::{AsEnv, DelegateArgs, Env, TraceContext};
pub use error::Error;
pub use exec::{Exec, Within};
pub use find::find_in_path;
pub use in_process::{Entry, InProcessExec};
pub use invocation::{ArgsForm, Command, Invocation, UnknownCommand};
pub use limits::{Cancellation, Limits};
pub use netloom_spec::PluginInfo;
pub use process::ProcessExec;
pub use stderr::Stderr;
pub use watch::Watch;
