//! Where `unsafe` may be, and what must be said about it.

use super::Finding;
use super::source::lines_with;
use super::tree::Tree;

/// The only crate with unsafe code.
const KERNEL: &str = "netloom-kernel";

/// How many lines above an `unsafe` its explanation may begin.
const REACH: usize = 12;

pub(crate) fn in_kernel_only(tree: &Tree) -> Vec<Finding> {
    let elsewhere = tree
        .sources
        .iter()
        .filter(|source| source.krate() != KERNEL);
    let found = elsewhere.flat_map(|source| {
        lines_with(&source.code, "unsafe")
            .into_iter()
            .map(|line| (source.path.clone(), line))
    });
    found
        .map(|(path, line)| Finding {
            path,
            line: Some(line),
            message: format!("unsafe outside {KERNEL}"),
        })
        .collect()
}

pub(crate) fn explained(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree
        .sources
        .iter()
        .filter(|source| source.krate() == KERNEL)
    {
        let lines: Vec<&str> = source.text.lines().collect();
        let mut previous = 0;
        for line in lines_with(&source.code, "unsafe") {
            // The explanation stands above, and below the unsafe code before.
            let from = previous.max(line.saturating_sub(REACH + 1));
            let above = &lines[from..line];
            if !above
                .iter()
                .any(|text| text.contains("SAFETY:") || text.contains("# Safety"))
            {
                findings.push(Finding {
                    path: source.path.clone(),
                    line: Some(line),
                    message: "unsafe without a SAFETY: comment that says why it is sound".into(),
                });
            }
            previous = line;
        }
    }
    findings
}
