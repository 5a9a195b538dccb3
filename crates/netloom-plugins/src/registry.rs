//! The table of all plugins: dispatch by name, VERSION, help, install links and the tests that
//! every plugin must pass come from it.

use netloom_plugin::{Entry, Invocation, Plugin};

macro_rules! registry {
    ($($plugin:expr),* $(,)?) => {
        /// Every plugin, in alphabetical order.
        pub const PLUGINS: &[&'static dyn Plugin] = &[$(&$plugin),*];

        /// Every plugin as a function, in the order of [`PLUGINS`].
        const ENTRIES: &[Entry] = &[$(
            |env, mut stdin, stdout, stderr| {
                netloom_plugin::run_linked(Invocation {
                    plugin: &$plugin,
                    registry: PLUGINS,
                    env,
                    stdin: &mut stdin,
                    stdout,
                    stderr,
                })
            }
        ),*];
    };
}

registry! {
    crate::chained::bandwidth::Bandwidth,
    crate::interface::bridge::Bridge,
    crate::ipam::cluster::Cluster,
    crate::chained::debug::Debug,
    crate::ipam::dhcp::Dhcp,
    crate::interface::dummy::Dummy,
    crate::chained::firewall::Firewall,
    crate::interface::flannel::Flannel,
    crate::interface::host_device::HostDevice,
    crate::ipam::host_local::HostLocal,
    crate::interface::ipvlan::Ipvlan,
    crate::interface::loopback::Loopback,
    crate::interface::macvlan::Macvlan,
    crate::chained::portmap::Portmap,
    crate::interface::ptp::Ptp,
    crate::chained::ratchet::Ratchet,
    crate::chained::sbr::Sbr,
    crate::ipam::static_::Static,
    crate::interface::tap::Tap,
    crate::chained::tuning::Tuning,
    crate::interface::vlan::Vlan,
    crate::chained::vrf::Vrf,
    crate::ipam::cluster::Whereabouts,
}

/// Name and function of every plugin, for a program that calls them in process. Their delegates
/// are called in process as well.
pub fn entries() -> impl Iterator<Item = (&'static str, Entry)> {
    PLUGINS
        .iter()
        .map(|plugin| plugin.name())
        .zip(ENTRIES.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_order() {
        let names: Vec<_> = PLUGINS.iter().map(|plugin| plugin.name()).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }

    #[test]
    fn every_entry_is_the_plugin_of_its_name() {
        for (name, entry) in entries() {
            let mut stderr = Vec::new();
            let env = netloom_plugin::Env::new();
            assert_eq!(entry(&env, b"", &mut Vec::new(), &mut stderr), 0);
            let about = String::from_utf8(stderr).unwrap();
            let first = match name {
                "flannel" => "CNI Plugin flannel version v".to_owned(),
                name => format!("CNI {name} plugin v"),
            };
            assert!(about.starts_with(&first), "{about}");
        }
    }
}
