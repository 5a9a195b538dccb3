//! The book: that what its pages tell to type works, and prints what they show; that both languages
//! have the same blocks; that every link leads somewhere.
//!
//! What the words behind the fence of a block mean:
//!
//! ```text
//! sh                          commands; run in the order of the page, in one shell of a throw-away host
//! sh fails                    the last command fails
//! sh needs=vlan setup="…"     as in docs/plugins: what the kernel must have, a line that comes before
//! sh host                     makes the throw-away host (docs/tutorials/begin.md); runs the others
//! sh not-run="why"            cannot be run here
//! text output                 what the block before printed. `…` alone stands for any lines, in a line
//!                             for any text; times, MAC addresses and ids are masked
//! sh picture=FILE             draws that picture of `docs`, which is compared as an output is
//! rust in=FILE                part of that file, as it is when the blocks before have run
//! json, yaml                  must be that
//! console                     a session with its prompts, in a page of a verb or a plugin, whose own tests try it
//! text                        a drawing, or anything else that nobody types
//! ```
//!
//! `NETLOOM_WRITE_DOCS=1 cargo test -p netloom --test book` writes outputs, translations' blocks and
//! generated pages anew.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod compare;
mod languages;
mod links;
mod pages;
mod readme;
mod reference;
mod run;

use pages::Page;

macro_rules! pages {
    ($($test:ident = $name:literal),* $(,)?) => {
        const TESTED: &[&str] = &[$($name),*];

        $(#[test]
        fn $test() {
            run::page(&Page::read($name));
        })*
    };
}

pages! {
    where_the_tutorials_begin_works = "tutorials/begin.md",
    a_network_by_hand_works = "tutorials/1-by-hand.md",
    the_shell_logger_works = "tutorials/2-logger.md",
    the_bridge_network_works = "tutorials/3-bridge.md",
    the_plugin_in_rust_works = "tutorials/4-plugin.md",
    the_links_between_containers_work = "tutorials/5-links.md",
    publishing_ports_works = "how-to/publish-ports.md",
    two_networks_work = "how-to/two-networks.md",
    static_addresses_work = "how-to/static-addresses.md",
    vlans_and_bonds_work = "how-to/vlans-and-bonds.md",
    dhcp_works = "how-to/dhcp.md",
    rate_limits_work = "how-to/rate-limits.md",
    debugging_a_pod_without_network_works = "how-to/debug.md",
    moving_a_node_works = "how-to/move-a-node.md",
    other_owners_of_the_firewall_are_no_trouble = "how-to/beside-others.md",
    after_a_reboot_works = "how-to/after-a-reboot.md",
    ci_without_root_works = "how-to/ci-without-root.md",
}

/// Pages that have no line in `pages!`. Those that have are run at the same time.
#[test]
fn all_other_pages_work() {
    for page in pages::all() {
        let has_own_test = TESTED.contains(&page.name.as_str());
        // A translation has the blocks of its original, which another test compares.
        if !has_own_test && languages::original(&page.name).is_none() {
            run::page(&page);
        }
    }
}
