//! netloom's own plugins keep the specification.

use netloom_testkit::{Host, Sample};

use crate::{failed, long_run};

/// All cases take minutes, so a run asks a part of them, which follows from the commit.
#[test]
fn the_own_plugins_pass_at_the_highest_level() {
    let Some(_host) = Host::new() else { return };
    let ids: Vec<&str> = netloom_conform::all().map(|case| case.id).collect();
    let sample = Sample::of_this_run();
    let mut arguments = vec!["--self", "--level", "extra"];
    for (_, id) in ids
        .iter()
        .enumerate()
        .filter(|(number, _)| sample.has(*number))
    {
        arguments.extend(["--only", id]);
    }
    let (document, status) = long_run(&arguments);
    let plugins = document["plugins"].as_array();
    let plugins = plugins.unwrap_or_else(|| panic!("no report: {document}"));
    assert_eq!(plugins.len(), netloom_plugins::registry::PLUGINS.len());
    let failed: Vec<_> = plugins.iter().flat_map(failed).collect();
    assert_eq!(status, Some(0), "{failed:#?}");
}
