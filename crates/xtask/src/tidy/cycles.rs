//! Modules beside each other do not import each other in a circle: one can be read before the other.
//!
//! Modules called `fuzzing` do not count. They are under `cfg(fuzzing)`, so in no build that is shipped, and
//! they are doors: each opens private parsers below it and is opened by the one above.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::Finding;
use super::imports::{crate_paths, module_of};
use super::tree::Tree;

/// Where a module first names another one that stands beside it.
type Edges = BTreeMap<(String, String), (PathBuf, usize)>;

pub(crate) fn none_between_siblings(tree: &Tree) -> Vec<Finding> {
    let mut families: BTreeMap<(String, Vec<String>), Edges> = BTreeMap::new();
    let modules = modules(tree);
    for source in tree.sources.iter().filter(|source| !source.is_test()) {
        let module = module_of(&source.inside());
        if !source.inside().starts_with("src") || is_door(&module) {
            continue;
        }
        let krate = source.krate().to_owned();
        for (line, path) in crate_paths(source.code_without_tests(), &module) {
            let common = module.iter().zip(&path).take_while(|(a, b)| a == b).count();
            let (Some(from), Some(to)) = (module.get(common), path.get(common)) else {
                continue;
            };
            // What is no module is an item of the parent.
            if is_door(&path) || !modules.contains(&(krate.clone(), path[..=common].to_vec())) {
                continue;
            }
            let family = (krate.clone(), module[..common].to_vec());
            let edges = families.entry(family).or_default();
            let edge = (from.clone(), to.clone());
            edges.entry(edge).or_insert((source.path.clone(), line));
        }
    }
    families.values().flat_map(circles).collect()
}

fn is_door(path: &[String]) -> bool {
    path.iter().any(|part| part == "fuzzing")
}

fn modules(tree: &Tree) -> BTreeSet<(String, Vec<String>)> {
    let sources = tree.sources.iter();
    let inside = sources.filter(|source| source.inside().starts_with("src"));
    inside
        .map(|source| (source.krate().to_owned(), module_of(&source.inside())))
        .collect()
}

/// Each import that closes a circle, with the shortest way back.
fn circles(edges: &Edges) -> Vec<Finding> {
    let mut findings = Vec::new();
    for ((from, to), (path, line)) in edges {
        if from < to
            && let Some(back) = way(edges, to, from)
        {
            findings.push(Finding {
                path: path.clone(),
                line: Some(*line),
                message: format!("a circle of modules: {from} → {}", back.join(" → ")),
            });
        }
    }
    findings
}

/// The modules from one to another, both included, by the fewest imports.
fn way(edges: &Edges, from: &str, to: &str) -> Option<Vec<String>> {
    let mut ways = vec![vec![from.to_owned()]];
    let mut seen = BTreeSet::from([from.to_owned()]);
    while !ways.is_empty() {
        let mut next = Vec::new();
        for way in ways {
            let last = way.last().cloned().unwrap_or_default();
            if last == to {
                return Some(way);
            }
            for (_, step) in edges.keys().filter(|(at, _)| *at == last) {
                if seen.insert(step.clone()) {
                    next.push([way.clone(), vec![step.clone()]].concat());
                }
            }
        }
        ways = next;
    }
    None
}
