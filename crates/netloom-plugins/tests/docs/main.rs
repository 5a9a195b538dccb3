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
//! A new page is run with all others that have no line in `pages!`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attachment;
mod example;
mod lists;
mod page;

use std::collections::BTreeSet;
use std::path::Path;

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
    the_examples_of_cluster_work = "cluster",
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
    the_examples_of_ratchet_work = "ratchet",
    the_examples_of_sbr_work = "sbr",
    the_examples_of_static_work = "static",
    the_examples_of_tap_work = "tap",
    the_examples_of_tuning_work = "tuning",
    the_examples_of_vlan_work = "vlan",
    the_examples_of_vrf_work = "vrf",
    the_examples_of_whereabouts_work = "whereabouts",
}

/// What every page tells, in this order.
const SECTIONS: [&str; 5] = [
    "## What it makes",
    "## Configuration",
    "## Examples",
    "## On the wire",
    "## CHECK, DEL, GC, STATUS",
];

/// Pages that have no line in `pages!`. Those that have are run at the same time.
#[test]
fn the_examples_of_all_other_pages_work() {
    for name in names() {
        if !TESTED.contains(&name.as_str()) {
            example::run_all(&Page::read(&name));
        }
    }
}

/// What is there for every plugin, beside its code and its line in the list of its kind.
#[test]
fn nothing_is_forgotten_of_any_plugin() {
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    let mut forgotten = Vec::new();
    for plugin in PLUGINS {
        let name = plugin.name();
        if !names().contains(name) {
            forgotten.push(format!(
                "{name} has no page: write docs/plugins/{name}.md in the form of the others, with a block \
                 `json add` that is run here"
            ));
        }
        let module = name.replace('-', "_");
        let places = ["", "_"].map(|end| format!("{tests}/{module}{end}"));
        let is_tested = |place: &String| {
            Path::new(place).is_dir() || Path::new(&format!("{place}.rs")).is_file()
        };
        if !places.iter().any(is_tested) {
            forgotten.push(format!(
                "{name} has no tests: write crates/netloom-plugins/tests/{module}.rs, as CONTRIBUTING.md has it"
            ));
        }
    }
    let plugins: BTreeSet<String> = PLUGINS.iter().map(|p| p.name().to_owned()).collect();
    for name in names().difference(&plugins) {
        forgotten.push(format!("docs/plugins/{name}.md is of no plugin: remove it"));
    }
    assert!(forgotten.is_empty(), "\n{}", forgotten.join("\n"));
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
        let (settings, examples) = ("### Settings, and a second network\n", "\n## Examples\n");
        let before = page.text.split(examples).next().unwrap_or_default();
        assert!(
            before.contains(settings),
            "{name}.md does not say which sysctls are set, and how it stands beside a second network"
        );
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
                drop(block.json());
            }
        }
    }
}
