//! The framework for writing CNI plugins.
//!
//! A plugin author implements [`Plugin`] and hands it to [`main`]. The framework does what the
//! protocol asks of every plugin: it checks the environment and the configuration, negotiates the
//! version, refuses to work on the namespace the plugin runs in, prints exactly one JSON document,
//! turns a panic into a CNI error, undoes a failed ADD step by step, and calls delegates.
//!
//! ```no_run
//! use netloom_plugin::{AddRequest, AddResult, Error, Plugin, Undo};
//!
//! struct Nothing;
//!
//! impl Plugin for Nothing {
//!     fn name(&self) -> &'static str {
//!         "nothing"
//!     }
//!     fn add<'r>(&self, request: &'r AddRequest<'r>, _: &mut Undo<'r>) -> Result<AddResult, Error> {
//!         Ok(request.prev_result()?.unwrap_or_default())
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     netloom_plugin::main(&[&Nothing])
//! }
//! ```

#![forbid(unsafe_code)]

mod about;
mod answer;
mod cleanup;
mod conf;
mod delegate;
mod dispatch;
pub mod forecast;
mod gate;
mod guard;
pub mod host;
mod inventory;
mod multicall;
mod panics;
mod plugin;
mod request;
pub mod stamp;
mod undo;
mod variables;

pub use about::{Maker, tell_maker};
pub use cleanup::Cleanup;
pub use delegate::Delegate;
pub use dispatch::{Invocation, run, run_linked};
pub use inventory::{Examine, Found, Orphan, Owned, Removal, Scope, Survey, Sweep, of_conf};
pub use multicall::main;
pub use plugin::{Needs, Plugin, find};
pub use request::{AddRequest, CheckRequest, Context, DelRequest, GcRequest, StatusRequest};
pub use undo::Undo;

pub use netloom_invoke::{Entry, Env};
pub use netloom_spec::{
    AddResult, Attachment, ContainerId, Error, IfName, Interface, IpConfig, Mac, NetworkName,
    PluginConf, Version, code,
};
