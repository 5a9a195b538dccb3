//! Every CNI plugin of netloom, and the one program that is all of them.
//!
//! A plugin is a file or a folder in [`interface`], [`ipam`] or [`chained`], and a line in the list
//! beside its `pub mod`; [`registry::PLUGINS`] is all of them. Plugins never import each other.

#![forbid(unsafe_code)]

/// Defines `Plugin::plan`, by which the fuzz target `plans` reaches a plugin's private plan. No other
/// build has it.
macro_rules! plan_door {
    ($plan:expr) => {
        #[cfg(fuzzing)]
        fn plan(
            &self,
            conf: &netloom_spec::PluginConf,
            args: &str,
        ) -> Result<(), netloom_spec::Error> {
            crate::fuzzing::planned($plan, conf, args)
        }
    };
}

/// Lists the plugins of a module, in alphabetical order, for the [`registry`].
macro_rules! plugins {
    ($($plugin:path),* $(,)?) => {
        /// The plugins of this kind, in alphabetical order.
        pub(crate) const PLUGINS: &[crate::registry::Registered] = &[$(
            crate::registry::Registered {
                plugin: &$plugin,
                entry: |env, stdin, stdout, stderr| {
                    crate::registry::run(&$plugin, env, stdin, stdout, stderr)
                },
            }
        ),*];
    };
}

/// The release of the Go plugins whose behaviour these plugins have; docs/differences.md lists what is
/// different.
const REFERENCE: &str = "v1.9.1";

pub mod chained;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod interface;
pub mod ipam;
pub mod registry;
pub mod trace;
mod wiring;

pub use wiring::claimant;
pub use wiring::identity;
pub use wiring::link_kind::{command_for, lack_of};
pub use wiring::record;

/// What a plugin prints beside its name when it is run by hand: release and build.
pub const MAKER: netloom_plugin::Maker = netloom_plugin::Maker {
    release: REFERENCE,
    line: || {
        let built = netloom_kernel::c_library::describe();
        format!("netloom v{} ({built})", env!("CARGO_PKG_VERSION"))
    },
};
