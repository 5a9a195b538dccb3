//! Pages of the reference that repeat what the code says.

use std::collections::BTreeSet;

use netloom_spec::code;

use crate::pages::Page;

#[test]
fn the_page_of_error_codes_has_all_that_there_are_and_no_other() {
    let page = Page::read("reference/exit-codes.md");
    let (_, plugins) = page.text.split_once("## Of a plugin").unwrap();
    let first = |line: &str| line.strip_prefix("| ")?.split(' ').next()?.parse().ok();
    let told: BTreeSet<u32> = plugins.lines().filter_map(first).collect();
    let own = 100;
    let known = [
        code::INCOMPATIBLE_VERSION,
        code::UNSUPPORTED_FIELD,
        code::UNKNOWN_CONTAINER,
        code::INVALID_ENVIRONMENT,
        code::IO,
        code::DECODING,
        code::INVALID_CONFIG,
        code::INVALID_NETNS,
        code::TRY_AGAIN_LATER,
        code::PLUGIN_NOT_AVAILABLE,
        code::LIMITED_CONNECTIVITY,
        own,
        code::INTERNAL,
    ];
    assert_eq!(told, BTreeSet::from(known));
}
