//! The doors of the fuzz targets (`fuzz/`) to what the plugins read. Not part of any other build.
//!
//! What can be said of any input is asserted here and beside the parsers: no panic, errors of one
//! line, and what was understood is read again as it was written.

use crate::{chained, interface, ipam, wiring};
use netloom_spec::{Error, PluginConf};

pub use chained::firewall::dbus::fuzzing::dbus;
pub use ipam::dhcp::fuzzing::{dhcp4, dhcp6};
pub use ipam::host_local::fuzzing::host_local_store;

type Plan = fn(&PluginConf, &str) -> Result<(), Error>;

/// Of every plugin that has a configuration of its own.
const PLANS: &[Plan] = &[
    chained::bandwidth::plan,
    interface::bridge::plan,
    chained::debug::plan,
    ipam::dhcp::plan,
    interface::dummy::plan,
    chained::firewall::plan,
    interface::flannel::plan,
    interface::host_device::plan,
    ipam::host_local::plan,
    interface::ipvlan::plan,
    interface::macvlan::plan,
    chained::portmap::plan,
    interface::ptp::plan,
    chained::sbr::plan,
    ipam::static_::plan,
    interface::tap::plan,
    chained::tuning::plan,
    interface::vlan::plan,
    chained::vrf::plan,
];

/// The files of other programs, and of earlier releases.
const STATE_FILES: &[fn(&[u8])] = &[
    interface::flannel::subnet_env::fuzzing::subnet_env,
    ipam::host_local::fuzzing::reservation,
    ipam::host_local::fuzzing::resolv_conf,
    ipam::dhcp::fuzzing::lease_file,
    chained::tuning::backup::fuzzing::backup,
    chained::tuning::allowlist::fuzzing::allowlist,
    wiring::iptables::fuzzing::saved,
];

/// The first byte chooses the plugin; then come `CNI_ARGS`, a NUL, and the configuration.
pub fn plans(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    let end = rest.iter().position(|byte| *byte == 0);
    let (args, conf) = rest.split_at(end.unwrap_or_default());
    let conf = PluginConf::parse(conf.strip_prefix(b"\0").unwrap_or(conf));
    if let (Ok(args), Ok(conf)) = (std::str::from_utf8(args), conf)
        && let Err(error) = PLANS[usize::from(*choice) % PLANS.len()](&conf, args)
    {
        assert_ne!(error.code, 0, "{error:?}");
        assert_one_line(&error.msg);
    }
}

/// The first byte chooses the kind of file.
pub fn state_files(input: &[u8]) {
    if let Some((choice, content)) = input.split_first() {
        STATE_FILES[usize::from(*choice) % STATE_FILES.len()](content);
    }
}

/// The dhcp daemon's end of its socket, and the plugin's.
pub fn dhcp_socket(input: &[u8]) {
    match input.split_first() {
        Some((0, rest)) => ipam::dhcp::fuzzing::daemon(rest),
        Some((_, rest)) => ipam::dhcp::fuzzing::client(rest),
        None => {}
    }
}

pub(crate) fn planned<T>(
    plan: impl FnOnce(&PluginConf, &str) -> Result<T, Error>,
    conf: &PluginConf,
    args: &str,
) -> Result<(), Error> {
    plan(conf, args).map(drop)
}

pub(crate) fn assert_one_line(text: &str) {
    assert!(!text.is_empty() && !text.contains('\n'), "{text:?}");
}
