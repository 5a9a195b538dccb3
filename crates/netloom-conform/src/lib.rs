//! Whether a CNI plugin, in any language, keeps the specification.
//!
//! A [`Kit`] runs some 170 cases against one executable. Each case runs in a host of its own, made of
//! namespaces, that is gone when the case ends: the machine is not touched, and where the kernel allows
//! user namespaces nobody needs to be root. A case names the section of the specification that it is
//! about, and how binding that is ([`Level`]). What a case found is an [`Outcome`]: what was sent, what
//! came, and a line for a shell that does it again.
//!
//! For a plugin in Rust it is one test:
//!
//! ```no_run
//! use netloom_conform::{Failed, Kit, Level};
//!
//! # macro_rules! env { ($name:literal) => { "/usr/bin/my-plugin" } }
//! #[test]
//! # fn hidden() {}
//! fn it_keeps_the_specification() -> Result<(), Failed> {
//!     Kit::new(env!("CARGO_BIN_EXE_my-plugin")).run()?.passes(Level::Should)
//! }
//! ```
//!
//! The configuration, and what else the plugin needs on a host, is told to the kit:
//! [`Kit::conf`], [`Kit::class`], [`Kit::path`], [`Kit::file`], [`Kit::setup`].

#![forbid(unsafe_code)]

mod bench;
mod call;
mod case;
mod cases;
mod class;
mod guess;
mod host;
mod isolated;
mod kit;
mod report;
mod shell;
mod stop;
mod stub;
mod subject;
pub mod tap;

pub use case::Case;
pub use cases::all;
pub use class::{Class, Level};
pub use kit::Kit;
pub use report::{Exchange, Failed, Outcome, Report, Verdict};
