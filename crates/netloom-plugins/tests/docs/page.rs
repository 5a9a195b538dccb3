//! A page, and the fenced blocks in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

/// One page of docs/plugins.
pub(crate) struct Page {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) blocks: Vec<Block>,
}

/// One fenced block.
pub(crate) struct Block {
    /// Page and line, for messages.
    pub(crate) place: String,
    /// The words of the info string.
    pub(crate) words: Vec<String>,
    /// The `key=value` among them; values with blanks are in double quotes.
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) text: String,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/plugins")
}

/// The names of all pages.
pub(crate) fn names() -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let files = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    files
        .filter_map(|file| Some(file.strip_suffix(".md")?.to_owned()))
        .collect()
}

impl Page {
    pub(crate) fn read(name: &str) -> Self {
        let path = folder().join(format!("{name}.md"));
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("cannot read {path:?}: {error}"));
        Self {
            name: name.to_owned(),
            blocks: blocks(name, &text),
            text,
        }
    }
}

impl Block {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{}: not JSON: {error}", self.place))
    }
}

fn blocks(name: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            continue;
        };
        let (words, attributes) = split(info);
        let body: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| *line != "```")
            .collect();
        blocks.push(Block {
            place: format!("{name}.md:{}", number + 1),
            words,
            attributes,
            text: body.join("\n"),
        });
    }
    blocks
}

/// The bare words and the `key=value` of an info string.
fn split(info: &str) -> (Vec<String>, BTreeMap<String, String>) {
    let (mut pieces, mut quoted) = (vec![String::new()], false);
    for character in info.chars() {
        match character {
            '"' => quoted = !quoted,
            ' ' if !quoted => pieces.push(String::new()),
            other => pieces.last_mut().unwrap().push(other),
        }
    }
    let (mut words, mut attributes) = (Vec::new(), BTreeMap::new());
    for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
        match piece.split_once('=') {
            Some((key, value)) => drop(attributes.insert(key.to_owned(), value.to_owned())),
            None => words.push(piece),
        }
    }
    (words, attributes)
}

#[test]
fn an_info_string_has_words_and_attributes() {
    let text = "a\n```json add needs=a,b setup=\"ip link; x=1\"\n{\n}\n```\n```\nno\n```\n";
    let blocks = blocks("p", text);
    assert_eq!(blocks.len(), 2);
    assert_eq!(blocks[0].words, ["json", "add"]);
    assert_eq!(blocks[0].attributes["setup"], "ip link; x=1");
    assert_eq!(blocks[0].attributes["needs"], "a,b");
    assert_eq!(
        (blocks[0].place.as_str(), blocks[0].text.as_str()),
        ("p.md:2", "{\n}")
    );
    assert!(blocks[1].words.is_empty());
}
