//! The fenced blocks of a page of documentation, so that tests can run what it shows.

use std::collections::BTreeMap;

use serde_json::Value;

/// One fenced block of a page in Markdown.
#[derive(Debug, Clone)]
pub struct Block {
    /// Page and line, for messages.
    pub place: String,
    /// The line of the opening fence, counted from 0.
    pub line: usize,
    /// The words of the info string.
    pub words: Vec<String>,
    /// The `key=value` among them; values with blanks are in double quotes.
    pub attributes: BTreeMap<String, String>,
    /// What is between the fences, without the last line's end.
    pub text: String,
}

impl Block {
    /// Whether its info string has this word.
    #[must_use]
    pub fn is(&self, word: &str) -> bool {
        self.words.iter().any(|other| other == word)
    }

    /// Its text as JSON; panics if it is not.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{}: not JSON: {error}", self.place))
    }
}

/// All blocks of a page; `name` is how messages call it. Fences stand at the beginning of a line.
#[must_use]
pub fn blocks(name: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((line, opening)) = lines.next() {
        let Some(info) = opening.strip_prefix("```") else {
            continue;
        };
        let (words, attributes) = split(info);
        let body: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| *line != "```")
            .collect();
        blocks.push(Block {
            place: format!("{name}:{}", line + 1),
            line,
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
        match (character, pieces.last_mut()) {
            ('"', _) => quoted = !quoted,
            (' ', _) if !quoted => pieces.push(String::new()),
            (other, Some(piece)) => piece.push(other),
            (_, None) => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_info_string_has_words_and_attributes() {
        let text = "a\n```json add needs=a,b setup=\"ip link; x=1\"\n{\n}\n```\n```\nno\n```\n";
        let blocks = blocks("p.md", text);
        assert_eq!(blocks.len(), 2);
        assert_eq!(blocks[0].words, ["json", "add"]);
        assert_eq!(blocks[0].attributes["setup"], "ip link; x=1");
        assert_eq!(blocks[0].attributes["needs"], "a,b");
        assert_eq!(
            (blocks[0].place.as_str(), blocks[0].text.as_str()),
            ("p.md:2", "{\n}")
        );
        assert!(blocks[0].is("add") && blocks[1].words.is_empty());
    }
}
