//! Rules about the text of single files.

use super::Finding;
use super::source::lines_with;
use super::tree::Tree;

/// Past this many lines without tests a file is split.
const LIMIT: usize = 500;

pub(crate) fn short_files(tree: &Tree) -> Vec<Finding> {
    over_limit(tree, false)
}

/// Test files may be longer; it is worth knowing which are.
pub(crate) fn long_test_files(tree: &Tree) -> Vec<Finding> {
    over_limit(tree, true)
}

fn over_limit(tree: &Tree, tests: bool) -> Vec<Finding> {
    let sources = tree
        .sources
        .iter()
        .filter(|source| source.is_test() == tests);
    sources
        .map(|source| (source, source.lines_without_tests()))
        .filter(|(_, lines)| *lines > LIMIT)
        .map(|(source, lines)| Finding {
            path: source.path.clone(),
            line: None,
            message: format!("{lines} lines without tests, more than {LIMIT}"),
        })
        .collect()
}

pub(crate) fn crate_docs(tree: &Tree) -> Vec<Finding> {
    let roots = ["src/lib.rs", "src/main.rs"];
    let undocumented = tree.sources.iter().filter(|source| {
        let is_root = roots.iter().any(|root| source.inside().ends_with(root));
        let first = source.text.lines().find(|line| !line.trim().is_empty());
        is_root && !first.is_some_and(|line| line.starts_with("//! "))
    });
    undocumented
        .map(|source| Finding {
            path: source.path.clone(),
            line: Some(1),
            message: "does not begin with //! and what the crate is".into(),
        })
        .collect()
}

pub(crate) fn nothing_unfinished(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &tree.sources {
        for word in ["todo!", "unimplemented!"] {
            findings.extend(
                lines_with(&source.code, word)
                    .into_iter()
                    .map(|line| Finding {
                        path: source.path.clone(),
                        line: Some(line),
                        message: format!("{word} is left"),
                    }),
            );
        }
    }
    findings
}
