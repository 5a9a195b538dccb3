//! File names that say what the file holds.

use std::path::Path;

use super::Finding;
use super::tree::Tree;

/// Names for anything, so for nothing.
const VAGUE: [&str; 7] = [
    "util", "utils", "common", "helper", "helpers", "manager", "misc",
];

pub(crate) fn telling(tree: &Tree) -> Vec<Finding> {
    let with_message = |path: &Path| message(path).map(|message| (path.to_owned(), message));
    let named = tree
        .sources
        .iter()
        .filter_map(|source| with_message(&source.path));
    named
        .map(|(path, message)| Finding {
            path,
            line: None,
            message,
        })
        .collect()
}

fn message(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_str()?;
    let folders: Vec<&str> = path
        .parent()?
        .iter()
        .filter_map(|part| part.to_str())
        .collect();
    if let Some(vague) = std::iter::once(&stem)
        .chain(&folders)
        .find(|name| VAGUE.contains(name))
    {
        return Some(format!("{vague:?} says nothing about what is inside"));
    }
    let stutters = folders.last().is_some_and(|folder| *folder == stem);
    stutters
        .then(|| format!("{stem}/{stem}.rs stutters: name the file for its part, or use {stem}.rs"))
}
