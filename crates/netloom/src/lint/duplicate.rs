//! NL002: keys that are there twice.

use super::document::{Document, Node};
use super::finding::{Finding, Level};

/// Keys of one object that are there more than once: the last counts.
pub(crate) fn duplicates(document: &Document) -> Vec<Finding> {
    let mut findings = Vec::new();
    look(&document.root, &mut findings);
    findings
}

fn look(node: &Node, findings: &mut Vec<Finding>) {
    let entries = node.entries();
    for (at, entry) in entries.iter().enumerate() {
        if entries[at + 1..].iter().any(|later| later.key == entry.key) {
            let message = format!("key {:?} is there twice, the last one counts", entry.key);
            let finding = Finding::new("NL002", Level::Warning, entry.key_span.clone(), message);
            findings.push(
                finding
                    .label("this one is not read")
                    .help("remove one of them"),
            );
        }
        look(&entry.value, findings);
    }
    node.elements()
        .iter()
        .for_each(|element| look(element, findings));
}
