//! What is wrong with network configurations, and where. docs/lint.md lists the rules.
//!
//! The judges are the plugins themselves ([`netloom_plugin::Plugin::validate`]): an error here is what
//! ADD refuses, in the same words. Which keys there are is what the plugins decode.

mod addressing;
mod directory;
mod document;
pub(crate) mod draw;
mod duplicate;
pub(crate) mod finding;
pub(crate) mod fix;
mod judge;
mod locate;
mod machine;
mod mend;
mod network;
#[cfg(test)]
mod tests;
mod unknown;

use std::ops::Range;
use std::path::{Path, PathBuf};

use document::Document;
use finding::{Finding, Level};
use network::Form;

pub(crate) use directory::copies;
pub(crate) use judge::fields;
pub(crate) use machine::Machine;

/// A file, and what was found in it.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// In the order of the file.
    pub(crate) findings: Vec<Finding>,
}

impl Report {
    /// Judges the content of a file. Its name tells whether it is a list or one plugin; where it does
    /// not, the content does.
    pub(crate) fn new(path: &Path, text: String) -> Self {
        let mut findings = findings(path, &text);
        sort(&mut findings);
        Self {
            path: path.to_owned(),
            text,
            findings,
        }
    }

    pub(crate) fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|it| it.level == Level::Error)
    }

    /// The value of the first such key, else the beginning of the file.
    fn span_of(&self, key: &str) -> Range<usize> {
        let document = Document::parse(&self.text).ok();
        let found = document.and_then(|it| first(&it.root, key));
        found.unwrap_or(0..self.text.len().min(1))
    }
}

/// Judges the files of a directory beside each other.
pub(crate) fn beside(reports: &mut [Report]) {
    directory::judge(reports);
    for report in reports {
        sort(&mut report.findings);
    }
}

/// In the order of the file.
fn sort(findings: &mut [Finding]) {
    findings.sort_by_key(|finding| (finding.span.start, finding.rule));
}

fn findings(path: &Path, text: &str) -> Vec<Finding> {
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(finding) => return vec![*finding],
    };
    let form = Form::of(path, &document);
    let mut findings = duplicate::duplicates(&document);
    let folder = path.parent().unwrap_or(Path::new("."));
    findings.extend(network::findings(&document, text, form, folder));
    findings.extend(addressing::findings(&document));
    findings
}

fn first(node: &document::Node, key: &str) -> Option<Range<usize>> {
    let own = node.entry(key).map(|entry| entry.value.span.clone());
    let mut inside = node
        .entries()
        .iter()
        .map(|entry| &entry.value)
        .chain(node.elements());
    own.or_else(|| inside.find_map(|node| first(node, key)))
}
