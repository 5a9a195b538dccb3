//! What a plugin is like, it says itself, by the methods of `Plugin`. So nobody else compares a name
//! with a plugin's, or lists names: the next plugin would be forgotten there. A word that means something
//! else, such as a keyword of a file, has a comment above it with the words [`EXCUSE`].

use std::collections::BTreeMap;

use super::Finding;
use super::imports::module_of;
use super::plugins::plugin_of;
use super::tree::{Source, Tree};

/// Where the rule holds: the command, and all plugins with what they share.
const CRATES: [&str; 2] = ["netloom", "netloom-plugins"];

const EXCUSE: &str = "no plugin's name";

pub(crate) fn compared_by_nobody(tree: &Tree) -> Vec<Finding> {
    let names = names(tree);
    let mut findings = Vec::new();
    for source in &tree.sources {
        let is_meant = CRATES.contains(&source.krate()) && source.inside().starts_with("src");
        if !is_meant || source.is_test() {
            continue;
        }
        let module = module_of(&source.inside());
        let own = plugin_of(&module).and_then(|own| names.get(own));
        let is_anothers =
            |text: &String| Some(text) != own && names.values().any(|name| name == text);
        let literals = literals(source).into_iter();
        let faults: Vec<_> = literals
            .filter(|literal| is_anothers(&literal.text) && !is_excused(source, literal.line))
            .filter_map(|literal| Some((literal.misuse()?, literal)))
            .collect();
        for (misuse, literal) in &faults {
            // A word alone may mean something else, such as a set of nf_tables.
            let is_other_item = |(other, it): &(Misuse, Literal)| {
                *other == Misuse::Lists && it.text != literal.text
            };
            if *misuse == Misuse::Compares || faults.iter().any(is_other_item) {
                findings.push(literal.finding(source, *misuse));
            }
        }
    }
    findings
}

/// Whether the line has a comment, or one above it.
fn is_excused(source: &Source, line: usize) -> bool {
    let above = line.saturating_sub(2);
    let mut lines = source.text.lines().skip(above).take(line - above);
    lines.any(|line| line.contains(EXCUSE))
}

/// Every plugin's name, by its module.
fn names(tree: &Tree) -> BTreeMap<Vec<String>, String> {
    const METHOD: &str = "fn name(&self) -> &'static str {";
    let mut names = BTreeMap::new();
    let plugins = tree.sources.iter();
    for source in plugins.filter(|source| source.krate() == "netloom-plugins") {
        let module = module_of(&source.inside());
        let name = source.text.split_once(METHOD);
        let name = name.and_then(|(_, rest)| rest.split('"').nth(1));
        if let (Some(own), Some(name)) = (plugin_of(&module), name) {
            names.insert(own.to_vec(), name.to_owned());
        }
    }
    names
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Misuse {
    Compares,
    Lists,
}

/// A string in the code, and what is around it.
struct Literal {
    text: String,
    line: usize,
    before: String,
    after: String,
}

impl Literal {
    /// What the code does with it, if that is nobody's business but the plugin's.
    fn misuse(&self) -> Option<Misuse> {
        let (before, after) = (self.before.trim_end(), self.after.trim_start());
        let in_some = before.strip_suffix("Some(");
        let value = in_some.unwrap_or(before).trim_end();
        let rest = match in_some {
            Some(_) => after.strip_prefix(')').unwrap_or(after).trim_start(),
            None => after,
        };
        let is_operand = ["==", "!="]
            .iter()
            .any(|operator| value.ends_with(operator) || rest.starts_with(operator));
        let is_pattern = rest.starts_with("=>")
            || (rest.starts_with("| ") || value.ends_with(" |"))
            || rest.starts_with("if ");
        let item = before.trim_end_matches('&');
        let is_item = item.ends_with(['[', ',']) && after.starts_with([',', ']']);
        let is_listed = is_item && innermost(item) == Some('[');
        match (is_operand || is_pattern, is_listed) {
            (true, _) => Some(Misuse::Compares),
            (_, true) => Some(Misuse::Lists),
            _ => None,
        }
    }
}

impl Literal {
    fn finding(&self, source: &Source, misuse: Misuse) -> Finding {
        let does = match misuse {
            Misuse::Compares => "compares with",
            Misuse::Lists => "lists",
        };
        Finding {
            path: source.path.clone(),
            line: Some(self.line),
            message: format!(
                "{does} the plugin's name {:?}; ask the plugin by a method of `Plugin`, with a default \
                 for all others; if it is none, say so above: // {EXCUSE}: …",
                self.text
            ),
        }
    }
}

/// The bracket that is open at the end of the code.
fn innermost(code: &str) -> Option<char> {
    let mut depth = 0;
    code.chars().rev().find(|c| {
        depth += match c {
            ')' | ']' | '}' => 1,
            '(' | '[' | '{' => -1,
            _ => 0,
        };
        depth < 0
    })
}

/// The strings before the module of tests.
fn literals(source: &Source) -> Vec<Literal> {
    let code: Vec<char> = source.code_without_tests().chars().collect();
    let text: Vec<char> = source.text.chars().collect();
    let quotes: Vec<usize> = (0..code.len()).filter(|at| code[*at] == '"').collect();
    let literal = |pair: &[usize]| {
        let (open, close) = (pair[0], pair[1]);
        Literal {
            text: text[open + 1..close].iter().collect(),
            line: 1 + code[..open].iter().filter(|c| **c == '\n').count(),
            before: code[..open].iter().collect(),
            after: code[close + 1..].iter().take(80).collect(),
        }
    };
    quotes
        .chunks_exact(2)
        .filter(|pair| pair[1] - pair[0] < 32)
        .map(literal)
        .collect()
}
