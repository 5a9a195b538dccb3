//! What differs between two snapshots, in words.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::Fact;

/// How much of an object is told that is new or gone.
const READABLE: usize = 400;

/// Lines that tell what appeared (`+`), what is gone (`-`) and what changed (`~`).
#[derive(Clone, Debug)]
pub struct Difference(Vec<String>);

impl Difference {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One line for each thing that differs.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// What is in `later` and not in `earlier`, the reverse, and what both have with other values.
pub(super) fn between(
    earlier: &BTreeMap<Fact, Value>,
    later: &BTreeMap<Fact, Value>,
) -> Difference {
    let mut lines = Vec::new();
    for (fact, value) in earlier {
        match later.get(fact) {
            None => lines.push(format!("- {}", whole(fact, value))),
            Some(other) => changes(&format!("~ {fact}"), value, other, &mut lines),
        }
    }
    for (fact, value) in later {
        if !earlier.contains_key(fact) {
            lines.push(format!("+ {}", whole(fact, value)));
        }
    }
    Difference(lines)
}

fn whole(fact: &Fact, value: &Value) -> String {
    let name = fact.to_string();
    let value = value.to_string();
    if name.contains(&value) {
        return name;
    }
    let short: String = value.chars().take(READABLE).collect();
    let rest = if short.len() < value.len() { "…" } else { "" };
    format!("{name} {short}{rest}")
}

/// One line for each member that differs, each with the path to it.
fn changes(path: &str, earlier: &Value, later: &Value, lines: &mut Vec<String>) {
    if earlier == later {
        return;
    }
    match (earlier, later) {
        (Value::Object(old), Value::Object(new)) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let none = Value::Null;
                let (old, new) = (old.get(key).unwrap_or(&none), new.get(key).unwrap_or(&none));
                changes(&format!("{path}.{key}"), old, new, lines);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            let length = lines.len();
            for gone in without(old, new) {
                lines.push(format!("{path}: gone {gone}"));
            }
            for added in without(new, old) {
                lines.push(format!("{path}: new {added}"));
            }
            if lines.len() == length {
                lines.push(format!("{path}: other order: {earlier} -> {later}"));
            }
        }
        _ => lines.push(format!("{path}: {earlier} -> {later}")),
    }
}

/// The elements of `all` that remain when those of `taken` are taken away one by one.
fn without(all: &[Value], taken: &[Value]) -> Vec<Value> {
    let mut rest = all.to_vec();
    for element in taken {
        if let Some(position) = rest.iter().position(|other| other == element) {
            rest.remove(position);
        }
    }
    rest
}
