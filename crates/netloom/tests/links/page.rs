//! The examples of docs/links.md work as they are written.

use std::fs;
use std::path::Path;

use netloom_testkit::product;

use crate::{NETLOOM, host, snapshot};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/links.md");

/// The blocks of a language.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let begin = format!("```{language}\n");
    let parts = page.split(begin.as_str()).skip(1);
    parts.filter_map(|part| part.split("```").next()).collect()
}

#[test]
fn every_command_of_the_page_succeeds_and_leaves_nothing() {
    let Some((host, pods)) = host([]) else { return };
    let before = snapshot(&host, &pods);
    let page = fs::read_to_string(PAGE).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("netloom");
    std::os::unix::fs::symlink(product(NETLOOM), program).unwrap();
    let topologies = blocks(&page, "yaml");
    assert_eq!(topologies.len(), 2);
    fs::write(folder.path().join("lab.yaml"), topologies[0]).unwrap();
    let mut commands = 0;
    for line in blocks(&page, "console")
        .iter()
        .flat_map(|block| block.lines())
    {
        let command = line.strip_prefix("# ").unwrap_or_else(|| panic!("{line}"));
        host.sh(&in_folder(folder.path(), command));
        commands += 1;
    }
    assert!(commands > 20, "{commands}");
    // The other file is of hosts that are not here.
    fs::write(folder.path().join("lab.yaml"), topologies[1]).unwrap();
    host.sh(&in_folder(
        folder.path(),
        "netloom topo plan --host a lab.yaml",
    ));
    host.sh("ip netns del blue; ip netns del red");
    snapshot(&host, &pods).assert_same_as(&before);
}

fn in_folder(folder: &Path, command: &str) -> String {
    let folder = folder.display();
    format!("cd {folder} && PATH={folder}:$PATH && {command}")
}
