//! A node goes from Debian's Go plugins to netloom, and back, plugin by plugin: what one side added, the other
//! checks, deletes and collects, while another pod of the first side keeps its traffic.
//!
//! Each test measures one row of the table in docs/upgrade.md and fails if the page says otherwise;
//! `NETLOOM_WRITE_DOCS=1` writes the page instead.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod background;
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
