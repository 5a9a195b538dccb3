//! A configuration with the place of every key and value.

use std::ops::Range;

use jsonc_parser::ast;
use jsonc_parser::errors::{ParseError, ParseErrorKind};
use jsonc_parser::{ParseOptions, parse_to_ast};
use netloom_spec::decode::Step;
use serde_json::Value;

use super::finding::{Finding, Level};

/// As deep as serde_json goes.
const DEEPEST: usize = 128;

/// Nothing but JSON.
const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// A document that is JSON.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) value: Value,
    pub(crate) root: Node,
}

/// A value and its place.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Object(Vec<Entry>),
    Array(Vec<Node>),
    Scalar,
}

/// A key of an object with its value. The place of the key includes its quotation marks.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) value: Node,
    /// The value as it is written, if it is neither object nor array.
    pub(crate) text: String,
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// What keeps it from being JSON.
    pub(crate) fn parse(text: &str) -> Result<Self, Box<Finding>> {
        let value = serde_json::from_str::<Value>(text);
        if depth(text) > DEEPEST {
            let what = format!("more than {DEEPEST} objects and arrays inside each other");
            return Err(Box::new(syntax(0..text.len().min(1), what)));
        }
        let tree = parse_to_ast(text, &Default::default(), &STRICT)
            .map_err(|error| Box::new(explain(text, &error)))?;
        match (value, tree.value) {
            (Ok(value), Some(tree)) => Ok(Self {
                value,
                root: Node::of(&tree, text),
            }),
            (Err(error), _) => {
                let at = offset(text, error.line(), error.column());
                Err(Box::new(syntax(at..at, error.to_string())))
            }
            (Ok(_), None) => Err(Box::new(syntax(0..0, "the file is empty"))),
        }
    }

    /// The node at the end of a path.
    pub(crate) fn at(&self, path: &[Step]) -> Option<&Node> {
        path.iter().try_fold(&self.root, |node, step| match step {
            Step::Key(key) => node.entry(key).map(|entry| &entry.value),
            Step::Index(index) => node.elements().get(*index),
        })
    }
}

impl Node {
    fn of(value: &ast::Value<'_>, text: &str) -> Self {
        use jsonc_parser::common::Ranged;
        let range = value.range();
        let content = match value {
            ast::Value::Object(object) => Content::Object(
                object
                    .properties
                    .iter()
                    .map(|it| Entry::of(it, text))
                    .collect(),
            ),
            ast::Value::Array(array) => {
                Content::Array(array.elements.iter().map(|it| Self::of(it, text)).collect())
            }
            _ => Content::Scalar,
        };
        Self {
            span: range.start..range.end,
            content,
        }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Object(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn elements(&self) -> &[Self] {
        match &self.content {
            Content::Array(elements) => elements,
            _ => &[],
        }
    }

    /// The entry that counts: the last of exactly this key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().rfind(|entry| entry.key == key)
    }

    /// The same, whatever the case of the key.
    pub(crate) fn entry_of_any_case(&self, key: &str) -> Option<&Entry> {
        let mut entries = self.entries().iter();
        self.entry(key)
            .or_else(|| entries.rfind(|entry| entry.key.eq_ignore_ascii_case(key)))
    }
}

impl Entry {
    fn of(property: &ast::ObjectProp<'_>, text: &str) -> Self {
        use jsonc_parser::common::Ranged;
        let range = property.name.range();
        let value = Node::of(&property.value, text);
        let scalar = matches!(value.content, Content::Scalar);
        Self {
            key: property.name.as_str().to_owned(),
            key_span: range.start..range.end,
            text: if scalar {
                text[value.span.clone()].to_owned()
            } else {
                String::new()
            },
            value,
        }
    }
}

fn syntax(span: Range<usize>, message: impl std::fmt::Display) -> Finding {
    Finding::new("NL001", Level::Error, span, format!("not JSON: {message}"))
}

/// How many brackets are open at the same time, strings left out.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// The byte at a line and a column, both from 1 on, as serde_json counts them.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let mut at = (before + column.saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn explain(text: &str, error: &ParseError) -> Finding {
    let range = error.range();
    let span = range.start..range.end.max(range.start);
    let finding = |message: &str| syntax(span.clone(), message);
    let before = text[..range.start].trim_end().len();
    match error.kind() {
        ParseErrorKind::ExpectedComma => syntax(before..before, "a comma is missing").fix(
            before..before,
            ",",
            "put a comma between the two",
        ),
        ParseErrorKind::TrailingCommasNotAllowed => {
            finding("a comma with nothing behind it").fix(span.clone(), "", "remove it")
        }
        ParseErrorKind::CommentsNotAllowed => {
            finding("JSON has no comments").fix(span.clone(), "", "remove it")
        }
        ParseErrorKind::ExpectedColonAfterObjectKey => syntax(
            before..before,
            "a colon is missing behind a key",
        )
        .fix(before..before, ":", "put a colon between key and value"),
        ParseErrorKind::UnterminatedObject => {
            let end = text.trim_end().len();
            finding("a } is missing")
                .label("what begins here has no end")
                .fix(end..end, "}", "close the object")
        }
        ParseErrorKind::UnterminatedArray => {
            let end = text.trim_end().len();
            finding("a ] is missing")
                .label("what begins here has no end")
                .fix(end..end, "]", "close the array")
        }
        ParseErrorKind::MultipleRootJsonValues => {
            finding("something follows the document").help("a file is one object")
        }
        ParseErrorKind::ExpectedStringObjectProperty
        | ParseErrorKind::SingleQuotedStringsNotAllowed => {
            finding("keys and texts are in double quotation marks")
        }
        kind => finding(&kind.to_string().to_lowercase()),
    }
}
