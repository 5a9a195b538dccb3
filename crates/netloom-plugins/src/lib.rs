//! Every CNI plugin of netloom, and the one program that is all of them.
//!
//! A plugin is a file or a folder in [`interface`], [`ipam`] or [`chained`] and an entry in
//! [`registry::PLUGINS`]. Plugins never import each other.

#![forbid(unsafe_code)]

/// Defines a plugin's door for the fuzz target `plans`: from a configuration and `CNI_ARGS` to what
/// is going to be done. It is in no other build.
macro_rules! plan_door {
    ($plan:expr) => {
        #[cfg(fuzzing)]
        pub(crate) fn plan(
            conf: &netloom_spec::PluginConf,
            args: &str,
        ) -> Result<(), netloom_spec::Error> {
            crate::fuzzing::planned($plan, conf, args)
        }
    };
}

/// The release of the reference plugins whose behaviour is offered; docs/differences.md tells how.
const REFERENCE: &str = "v1.9.1";

pub mod chained;
pub mod doctor;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod interface;
pub mod ipam;
pub mod registry;
pub mod trace;
mod wiring;

pub use wiring::identity;
