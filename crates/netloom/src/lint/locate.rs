//! Where the value is that an error speaks of.

use std::ops::Range;

use netloom_spec::decode::Step;

use super::document::{Entry, Node};

/// A value or a key of a plugin's object.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) span: Range<usize>,
    /// Its path in the plugin's object; empty where the error is about what is not there.
    pub(crate) path: Vec<Step>,
    /// Whether the span is that of the value at the path.
    pub(crate) is_value: bool,
    /// Whether there is no doubt: the decoder tells the place, or the error names key and value.
    pub(crate) is_sure: bool,
}

/// What other programs' values are in: an error of a plugin is seldom about them.
const ASIDE: [&str; 3] = ["args", "prevResult", "runtimeConfig"];

/// The value at the path, as far as there is one. Without a path the key or value that the error
/// names: errors name both. Otherwise the plugin's `type`.
pub(crate) fn locate(plugin: &Node, path: Option<&[Step]>, message: &str) -> Located {
    if let Some(path) = path {
        return at(plugin, path);
    }
    let mut best: Option<(usize, Located)> = None;
    visit(plugin, &mut Vec::new(), &mut |entry, path| {
        let score = score(entry, message);
        if score > best.as_ref().map_or(0, |(score, _)| *score) {
            best = Some((score, value(entry, path, score > 200)));
        }
    });
    best.map_or_else(|| of_type(plugin), |(_, located)| located)
}

fn value(entry: &Entry, path: &[Step], is_sure: bool) -> Located {
    Located {
        span: entry.value.span.clone(),
        path: path.to_vec(),
        is_value: true,
        is_sure,
    }
}

fn of_type(plugin: &Node) -> Located {
    let span = plugin
        .entry_of_any_case("type")
        .map_or(plugin.span.start..plugin.span.start + 1, |entry| {
            entry.value.span.clone()
        });
    Located {
        span,
        path: Vec::new(),
        is_value: false,
        is_sure: false,
    }
}

/// The value at the path, or the key of the innermost object that is there.
fn at(plugin: &Node, path: &[Step]) -> Located {
    let (mut node, mut key) = (plugin, None);
    for step in path {
        let next = match step {
            Step::Key(name) => node.entry(name).map(|entry| {
                key = Some(entry.key_span.clone());
                &entry.value
            }),
            Step::Index(index) => node.elements().get(*index),
        };
        match (next, key) {
            (Some(next), still) => (node, key) = (next, still),
            (None, Some(span)) => {
                return Located {
                    span,
                    path: Vec::new(),
                    is_value: false,
                    is_sure: false,
                };
            }
            (None, None) => return of_type(plugin),
        }
    }
    Located {
        span: node.span.clone(),
        path: path.to_vec(),
        is_value: true,
        is_sure: true,
    }
}

fn visit<'n>(node: &'n Node, path: &mut Vec<Step>, look: &mut impl FnMut(&'n Entry, &[Step])) {
    for entry in node.entries() {
        if ASIDE
            .iter()
            .any(|aside| entry.key.eq_ignore_ascii_case(aside))
        {
            continue;
        }
        path.push(Step::Key(entry.key.clone()));
        look(entry, path);
        visit(&entry.value, path, look);
        path.pop();
    }
    for (index, element) in node.elements().iter().enumerate() {
        path.push(Step::Index(index));
        visit(element, path, look);
        path.pop();
    }
}

/// How likely the message is about this entry.
fn score(entry: &Entry, message: &str) -> usize {
    let key = if has_word(message, &entry.key) {
        100 + entry.key.len()
    } else {
        0
    };
    let shown = entry.text.trim_matches('"');
    let value = if shown.len() > 1 && has_word(message, shown) {
        120 + shown.len()
    } else {
        0
    };
    // A short number is found anywhere: it counts beside its key.
    let value = if shown.len() == 1 && key > 0 && has_word(message, shown) {
        50
    } else {
        value
    };
    match entry.key.as_str() {
        // Every message may name the plugin.
        "type" | "name" | "cniVersion" => value / 4,
        _ => key + value,
    }
}

fn has_word(text: &str, word: &str) -> bool {
    if word.is_empty() {
        return false;
    }
    let (text, word) = (text.to_ascii_lowercase(), word.to_ascii_lowercase());
    let is_part = |char: char| char.is_alphanumeric() || char == '_';
    text.match_indices(&word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}
