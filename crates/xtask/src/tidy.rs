//! `cargo xtask tidy`: the rules that neither the compiler nor clippy knows.

mod cycles;
mod functions;
mod imports;
mod linked;
mod manifests;
mod names;
mod plugin_names;
mod plugins;
mod source;
mod text;
mod tree;
mod unsafety;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;

use crate::workspace::Workspace;
use tree::Tree;

#[derive(clap::Args)]
pub(crate) struct Args {}

/// A place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: PathBuf,
    /// Counted from 1; none when the whole file is meant.
    pub(crate) line: Option<usize>,
    pub(crate) message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path.display(), self.message),
            None => write!(f, "{}: {}", self.path.display(), self.message),
        }
    }
}

/// One rule: its name says what holds when nothing is found.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    check: fn(&Tree) -> Vec<Finding>,
}

const fn rule(name: &'static str, check: fn(&Tree) -> Vec<Finding>) -> Rule {
    Rule { name, check }
}

const RULES: &[Rule] = &[
    rule(
        "crates import only what the design's table allows",
        manifests::allowed_imports,
    ),
    rule(
        "plugins and command are not linked with an async runtime",
        linked::free_of_runtimes,
    ),
    rule(
        "every crate takes the workspace's lints",
        manifests::workspace_lints,
    ),
    rule(
        "plugins do not import each other, and wiring imports no plugin",
        plugins::apart,
    ),
    rule(
        "nobody but a plugin compares with its name, or lists it",
        plugin_names::compared_by_nobody,
    ),
    rule(
        "modules beside each other import each other in no circle",
        cycles::none_between_siblings,
    ),
    rule(
        "no file is longer than 500 lines without its tests",
        text::short_files,
    ),
    rule(
        "no function is longer than 60 lines, tests left out",
        functions::short,
    ),
    rule(
        "every crate begins with its documentation",
        text::crate_docs,
    ),
    rule(
        "nothing is left to do with todo! or unimplemented!",
        text::nothing_unfinished,
    ),
    rule("files are named for what they hold", names::telling),
    rule("unsafe is in netloom-kernel only", unsafety::in_kernel_only),
    rule("every unsafe has its SAFETY comment", unsafety::explained),
];

/// Each rule with what breaks it, for the folder of a workspace.
pub(crate) fn check(root: &Path) -> Result<Vec<(&'static str, Vec<Finding>)>> {
    let tree = Tree::read(root)?;
    Ok(RULES
        .iter()
        .map(|rule| (rule.name, (rule.check)(&tree)))
        .collect())
}

/// Prints what [`check`] found; long test files are told, not counted.
pub(crate) fn print(outcome: &[(&'static str, Vec<Finding>)]) {
    for (name, findings) in outcome {
        println!(
            "tidy: {} {name}",
            if findings.is_empty() {
                "ok    "
            } else {
                "FAILED"
            }
        );
        for finding in findings {
            println!("    {finding}");
        }
    }
}

pub(crate) fn run(workspace: &Workspace, _: &Args) -> Result<ExitCode> {
    let outcome = check(&workspace.root)?;
    print(&outcome);
    for note in text::long_test_files(&Tree::read(&workspace.root)?) {
        println!("tidy: note   {note}");
    }
    let clean = outcome.iter().all(|(_, findings)| findings.is_empty());
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests;
