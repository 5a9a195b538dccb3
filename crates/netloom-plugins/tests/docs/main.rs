//! The pages of docs/plugins: their form, and that their examples do what they say.
//!
//! A block marked `json` must be JSON. One marked `json add` is a configuration, of one plugin or a
//! list, that is run here: in every version that its plugins have, ADD, CHECK, STATUS, GC and DEL,
//! after which nothing is left; and DEL in every state that a pod may be in by then. What else it
//! says (see `Example`):
//!
//! ```text
//! ```json add needs=vlan,iptables setup="ip link add eth9 type veth peer name out9"
//! ```
//!
//! A new page is one line in `pages!`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attachment;
mod example;
mod page;

use std::collections::BTreeSet;

use netloom_plugins::registry::PLUGINS;
use page::{Page, names};

macro_rules! pages {
    ($($test:ident = $name:literal),* $(,)?) => {
        const TESTED: &[&str] = &[$($name),*];

        $(#[test]
        fn $test() {
            example::run_all(&Page::read($name));
        })*
    };
}

pages! {
    the_examples_of_bandwidth_work = "bandwidth",
    the_examples_of_bridge_work = "bridge",
    the_examples_of_debug_work = "debug",
    the_examples_of_dhcp_work = "dhcp",
    the_examples_of_dummy_work = "dummy",
    the_examples_of_firewall_work = "firewall",
    the_examples_of_flannel_work = "flannel",
    the_examples_of_host_device_work = "host-device",
    the_examples_of_host_local_work = "host-local",
    the_examples_of_ipvlan_work = "ipvlan",
    the_examples_of_loopback_work = "loopback",
    the_examples_of_macvlan_work = "macvlan",
    the_examples_of_portmap_work = "portmap",
    the_examples_of_ptp_work = "ptp",
    the_examples_of_sbr_work = "sbr",
    the_examples_of_static_work = "static",
    the_examples_of_tap_work = "tap",
    the_examples_of_tuning_work = "tuning",
    the_examples_of_vlan_work = "vlan",
    the_examples_of_vrf_work = "vrf",
}

/// What every page tells, in this order.
const SECTIONS: [&str; 5] = [
    "## What it makes",
    "## Configuration",
    "## Examples",
    "## On the wire",
    "## CHECK, DEL, GC, STATUS",
];

#[test]
fn every_plugin_has_a_page_and_every_page_is_tested() {
    let plugins: BTreeSet<String> = PLUGINS.iter().map(|p| p.name().to_owned()).collect();
    assert_eq!(
        names(),
        plugins,
        "the pages in docs/plugins (left), the plugins (right)"
    );
    let tested = TESTED.iter().map(ToString::to_string).collect();
    assert_eq!(
        names(),
        tested,
        "the pages in docs/plugins (left), those in `pages!` (right)"
    );
}

#[test]
fn every_page_has_the_same_form_and_an_example_that_runs() {
    for name in names() {
        let page = Page::read(&name);
        let headings: Vec<&str> = page
            .text
            .lines()
            .filter(|line| line.starts_with("# ") || line.starts_with("## "))
            .collect();
        let title = format!("# {name}");
        let mut expected = vec![title.as_str()];
        expected.extend(SECTIONS);
        assert_eq!(headings, expected, "{name}.md");
        let runs = page
            .blocks
            .iter()
            .any(|block| block.words.contains(&"add".to_owned()));
        assert!(runs, "{name}.md: no example is marked `json add`");
    }
}

#[test]
fn everything_that_is_marked_as_json_is_json() {
    for name in names() {
        for block in Page::read(&name).blocks {
            if block.words.first().is_some_and(|word| word == "json") {
                block.json();
            }
        }
    }
}
