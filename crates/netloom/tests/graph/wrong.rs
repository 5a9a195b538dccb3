//! Misuse: one clear error, exit status 2, and nothing written.

use std::fs;

use crate::{host, netloom};

#[test]
fn misuse_is_one_error_with_status_2_and_writes_nothing() {
    let Some(_host) = host() else { return };
    fs::write("/run/no-topology.yaml", "links: [").unwrap();
    fs::write("/run/file", "").unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["graph", "--svg", "--html"], "one form at a time"),
        (&["graph", "--svg", "--json"], "one form at a time"),
        (&["graph", "--text", "--html"], "one form at a time"),
        (&["graph", "--svg", "--watch"], "--output FILE"),
        (&["graph", "--json", "--watch"], "--output FILE"),
        (&["graph", "--netns", "nowhere"], "/var/run/netns/nowhere"),
        (&["graph", "--netns", "/run/file"], "unknown FS magic"),
        (&["graph", "--netns", "4000000"], "4000000"),
        (
            &["graph", "--topo", "/run/nothing.yaml"],
            "/run/nothing.yaml",
        ),
        (
            &["graph", "--topo", "/run/no-topology.yaml"],
            "/run/no-topology.yaml:",
        ),
        (&["graph", "--mermaid"], "--mermaid"),
        (&["graph", "everything"], "everything"),
        (&["graph", "--output"], "--output"),
    ];
    for (arguments, words) in cases {
        let outcome = netloom(arguments).run();
        assert_eq!(outcome.code(), Some(2), "{arguments:?}: {outcome}");
        assert!(outcome.stderr.contains(words), "{arguments:?}: {outcome}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_told_and_leaves_no_draft() {
    let Some(_host) = host() else { return };
    fs::create_dir_all("/run/folder/inside").unwrap();
    let outcome = netloom(&["graph", "--svg", "-o", "/run/folder/inside"]).run();
    assert_eq!(outcome.code(), Some(1), "{outcome}");
    assert!(outcome.stderr.contains("/run/folder/inside"), "{outcome}");
    let left = fs::read_dir("/run/folder").unwrap().count();
    assert_eq!(left, 1, "a draft is left");
}
