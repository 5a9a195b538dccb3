//! The doors of the fuzz targets (`fuzz/`) to what the plugins read. Not part of any other build.
//!
//! What can be said of any input is asserted here and beside the parsers: no panic, errors of one
//! line, and what was understood is read again as it was written.

use crate::registry::PLUGINS;
use crate::{chained, interface, ipam, wiring};
use netloom_spec::{Error, PluginConf};

pub use chained::firewall::dbus::fuzzing::dbus;
pub use chained::ratchet::fuzzing::far;
pub use ipam::dhcp::fuzzing::{dhcp4, dhcp6};
pub use ipam::host_local::fuzzing::host_local_store;

/// The files of other programs, and of earlier releases.
const STATE_FILES: &[fn(&[u8])] = &[
    interface::flannel::subnet_env::fuzzing::subnet_env,
    ipam::host_local::fuzzing::reservation,
    ipam::host_local::fuzzing::resolv_conf,
    ipam::dhcp::fuzzing::lease_file,
    chained::tuning::backup::fuzzing::backup,
    chained::tuning::allowlist::fuzzing::allowlist,
    wiring::iptables::fuzzing::saved,
    chained::ratchet::fuzzing::record,
    chained::ratchet::fuzzing::topology,
];

/// The name of a plugin, a NUL, `CNI_ARGS`, a NUL, and the configuration. By its name a plugin is found
/// whatever others there are.
pub fn plans(input: &[u8]) {
    let mut parts = input.splitn(3, |byte| *byte == 0);
    let mut next = || parts.next().unwrap_or_default();
    let (name, args) = (str::from_utf8(next()), str::from_utf8(next()));
    if let (Ok(name), Ok(args), Ok(conf)) = (name, args, PluginConf::parse(next()))
        && let Some(plugin) = netloom_plugin::find(PLUGINS, name)
        && let Err(error) = plugin.plan(&conf, args)
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
