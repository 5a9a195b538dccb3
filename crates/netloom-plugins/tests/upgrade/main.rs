//! A node goes from Debian's Go plugins to netloom, and back, plugin by plugin: what one side added, the other
//! checks, deletes and collects, while another pod of the first side keeps its traffic.
//!
//! Each test measures one row of the table in docs/upgrade.md and fails if the page says otherwise;
//! `NETLOOM_WRITE_DOCS=1` writes the page instead.
//!
//! The tests of `former` do the same with pods of netloom as it was at commit 17b6fbc, which `$NETLOOM_FORMER`
//! names the plugin binary of: all is checked, deleted and collected.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod background;
mod claims;
mod matrix;
mod page;
mod side;
mod stream;
mod subject;
mod subjects;

use std::collections::BTreeSet;
use std::path::Path;

use netloom_testkit::{DEBIAN_DIR, skip};

/// A test for each plugin.
macro_rules! rows {
    ($($test:ident: $plugin:literal,)*) => {
        $(#[test]
        fn $test() {
            matrix::measure(&subjects::named($plugin));
        })*

        const ROWS: &[&str] = &[$($plugin),*];
    };
}

rows! {
    bandwidth_changes_hands: "bandwidth",
    bridge_changes_hands: "bridge",
    dhcp_changes_hands: "dhcp",
    firewall_changes_hands: "firewall",
    host_device_changes_hands: "host-device",
    host_local_changes_hands: "host-local",
    ipvlan_changes_hands: "ipvlan",
    loopback_changes_hands: "loopback",
    macvlan_changes_hands: "macvlan",
    portmap_changes_hands: "portmap",
    ptp_changes_hands: "ptp",
    sbr_changes_hands: "sbr",
    static_changes_hands: "static",
    tuning_changes_hands: "tuning",
    vlan_changes_hands: "vlan",
    vrf_changes_hands: "vrf",
}

/// A test for each plugin, whose pods the former netloom added. Only what ends by itself is excepted.
macro_rules! former_rows {
    ($($test:ident: $plugin:literal,)*) => {
        mod former {
            $(#[test]
            fn $test() {
                super::matrix::take_over(&super::subjects::named($plugin));
            })*
        }
    };
}

former_rows! {
    bandwidth_is_taken_over: "bandwidth",
    bridge_is_taken_over: "bridge",
    bridge_on_nftables_is_taken_over: "bridge, nftables",
    dhcp_is_taken_over: "dhcp by netloom",
    firewall_is_taken_over: "firewall",
    firewall_on_nftables_is_taken_over: "firewall, nftables",
    host_device_is_taken_over: "host-device",
    host_local_is_taken_over: "host-local",
    ipvlan_is_taken_over: "ipvlan",
    loopback_is_taken_over: "loopback",
    macvlan_is_taken_over: "macvlan",
    portmap_is_taken_over: "portmap",
    portmap_on_nftables_is_taken_over: "portmap, nftables",
    ptp_is_taken_over: "ptp",
    sbr_is_taken_over: "sbr",
    static_is_taken_over: "static",
    tuning_is_taken_over: "tuning",
    vlan_is_taken_over: "vlan",
    vrf_is_taken_over: "vrf",
}

#[test]
fn every_plugin_that_debian_ships_has_a_row() {
    let rows: BTreeSet<String> = ROWS.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(page::rows(), rows, "the rows of docs/upgrade.md");
    let Ok(entries) = Path::new(DEBIAN_DIR).read_dir() else {
        return skip("no /usr/lib/cni: install Debian's package containernetworking-plugins");
    };
    let shipped: BTreeSet<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(rows, shipped);
}
