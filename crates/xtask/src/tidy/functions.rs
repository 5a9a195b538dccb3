//! A function is read in one view: a longer one is split into steps with names.

use super::Finding;
use super::source::{is_word, item_end};
use super::tree::Tree;

/// Lines of code from `fn` to the closing brace; what is blank or a comment does not count.
const LIMIT: usize = 60;

pub(crate) fn short(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources.iter().filter(|source| !source.is_test()) {
        for (line, name, lines) in functions(source.code_without_tests()) {
            if lines > LIMIT {
                findings.push(Finding {
                    path: source.path.clone(),
                    line: Some(line),
                    message: format!("function {name} has {lines} lines, more than {LIMIT}"),
                });
            }
        }
    }
    findings
}

/// The functions with a body: where each begins, its name, and how many lines of code it has.
fn functions(code: &str) -> Vec<(usize, &str, usize)> {
    let begins = |at: usize| !code[..at].ends_with(is_word);
    let starts = code.match_indices("fn ").filter(|(at, _)| begins(*at));
    let read = |(at, _)| {
        let rest = &code[at..];
        let name = rest["fn ".len()..].split(|c| !is_word(c)).next()?;
        let text = &rest[..item_end(rest)?];
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let line = 1 + code[..at].matches('\n').count();
        (!name.is_empty()).then(|| (line, name, lines.count()))
    };
    starts.filter_map(read).collect()
}
