//! YAML as a tree that knows where each of its nodes is, so that whatever is wrong is told by line
//! and column.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// Something that is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {words}")]
pub(super) struct FileError {
    pub(super) line: u64,
    pub(super) column: u64,
    pub(super) words: String,
}

pub(super) type Result<T> = std::result::Result<T, FileError>;

/// A node, and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) value: Value,
    line: u64,
    column: u64,
}

/// What a node is. Numbers and truths are text: what they mean depends on the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// Reads a document.
pub(super) fn parse(text: &str) -> Result<Node> {
    // `on` and `no` are names as good as others.
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options::<Node>(text, options).map_err(|error| {
        let at = error.location();
        FileError {
            line: at.map_or(1, |at| at.line()),
            column: at.map_or(1, |at| at.column()),
            words: plain(&error.without_snippet().to_string()),
        }
    })
}

/// What the library says, without its own options and the place, which is told already.
fn plain(words: &str) -> String {
    let words = words.lines().next().unwrap_or_default();
    let words = words.split(" at line ").next().unwrap_or_default();
    if let Some(rest) = words.strip_prefix("duplicate mapping key: ") {
        let key = rest.split(", set ").next().unwrap_or_default();
        return format!("\"{}\" is there twice", key.escape_debug());
    }
    if words.starts_with("budget breached") || words.starts_with("recursion limit") {
        return "there is more here, or more inside each other, than any topology has".to_owned();
    }
    words.to_owned()
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self {
            value: spanned.value,
            line: spanned.referenced.line(),
            column: spanned.referenced.column(),
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, it: D) -> std::result::Result<Value, D::Error> {
        it.deserialize_any(self)
    }

    fn visit_bool<E>(self, it: bool) -> std::result::Result<Value, E> {
        Ok(Value::Text(it.to_string()))
    }

    fn visit_u64<E>(self, it: u64) -> std::result::Result<Value, E> {
        Ok(Value::Text(it.to_string()))
    }

    fn visit_i64<E>(self, it: i64) -> std::result::Result<Value, E> {
        Ok(Value::Text(it.to_string()))
    }

    fn visit_f64<E>(self, it: f64) -> std::result::Result<Value, E> {
        Ok(Value::Text(it.to_string()))
    }

    fn visit_str<E>(self, it: &str) -> std::result::Result<Value, E> {
        Ok(Value::Text(it.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut it: A) -> std::result::Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = it.next_element()? {
            list.push(node);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut it: A) -> std::result::Result<Value, A::Error> {
        let mut map = Vec::new();
        // As it is written: a key is a name, even if it looks like a number.
        while let Some((
            Spanned {
                value, referenced, ..
            },
            node,
        )) = it.next_entry()?
        {
            let key = Node {
                value: Value::Text(value),
                line: referenced.line(),
                column: referenced.column(),
            };
            map.push((key, node));
        }
        Ok(Value::Map(map))
    }
}

impl Node {
    /// That something is wrong here.
    pub(super) fn fault(&self, words: impl fmt::Display) -> FileError {
        FileError {
            line: self.line,
            column: self.column,
            words: words.to_string(),
        }
    }

    pub(super) fn text(&self, what: &str) -> Result<&str> {
        match &self.value {
            Value::Text(text) => Ok(text),
            other => Err(self.fault(format!("{what} is {}, not a text", other.kind()))),
        }
    }

    pub(super) fn list(&self, what: &str) -> Result<&[Node]> {
        match &self.value {
            Value::List(list) => Ok(list),
            other => Err(self.fault(format!("{what} is {}, not a list", other.kind()))),
        }
    }

    /// The members of a map; nothing is an empty one.
    pub(super) fn map(&self, what: &str) -> Result<Fields<'_>> {
        let empty = &[][..];
        let entries = match &self.value {
            Value::Map(map) => map,
            Value::Null => empty,
            other => return Err(self.fault(format!("{what} is {}, not a map", other.kind()))),
        };
        let mut fields = Vec::new();
        for (key, value) in entries {
            let name = key.text(&format!("a key of {what}"))?;
            if fields.iter().any(|(other, _, _)| *other == name) {
                return Err(key.fault(format!("{what} has \"{name}\" twice")));
            }
            fields.push((name, key, value));
        }
        Ok(Fields {
            what: what.to_owned(),
            fields,
            at: self,
        })
    }
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// The members of a map that are not taken yet.
pub(super) struct Fields<'n> {
    what: String,
    fields: Vec<(&'n str, &'n Node, &'n Node)>,
    pub(super) at: &'n Node,
}

impl<'n> Fields<'n> {
    pub(super) fn take(&mut self, key: &str) -> Option<&'n Node> {
        let at = self.fields.iter().position(|(name, _, _)| *name == key)?;
        Some(self.fields.remove(at).2)
    }

    pub(super) fn need(&mut self, key: &str) -> Result<&'n Node> {
        self.take(key)
            .ok_or_else(|| self.at.fault(format!("{} lacks \"{key}\"", self.what)))
    }

    pub(super) fn text(&mut self, key: &str) -> Result<Option<&'n str>> {
        self.take(key).map(|node| node.text(key)).transpose()
    }

    /// All that is left, by key.
    pub(super) fn rest(self) -> impl Iterator<Item = (&'n str, &'n Node, &'n Node)> {
        self.fields.into_iter()
    }

    /// That nothing is left.
    pub(super) fn finish(self, known: &str) -> Result<()> {
        match self.fields.first() {
            None => Ok(()),
            Some((name, key, _)) => Err(key.fault(format!(
                "{} has no \"{}\"; it has {known}",
                self.what,
                name.escape_debug()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_names_whatever_they_look_like() {
        let root = parse("on: 1\n001: 2\nno: 3\n1e3: 4\n").unwrap();
        let fields = root.map("the file").unwrap();
        let keys: Vec<&str> = fields.rest().map(|(name, _, _)| name).collect();
        assert_eq!(keys, ["on", "001", "no", "1e3"]);
    }

    #[test]
    fn every_node_knows_its_place() {
        let root = parse("name: lab\nlinks:\n  - mtu: 9000\n    on: true\n").unwrap();
        let mut fields = root.map("the file").unwrap();
        let links = fields.need("links").unwrap();
        let link = &links.list("links").unwrap()[0];
        let mut link = link.map("a link").unwrap();
        let mtu = link.need("mtu").unwrap();
        assert_eq!(
            (mtu.text("mtu").unwrap(), mtu.line, mtu.column),
            ("9000", 3, 10)
        );
        let fault = link.finish("mtu").unwrap_err();
        assert_eq!(fault.to_string(), "4:5: a link has no \"on\"; it has mtu");
    }

    #[test]
    fn what_is_no_yaml_is_told_by_line() {
        let fault = parse("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(fault.line >= 2, "{fault}");
    }

    #[test]
    fn what_the_library_refuses_is_said_in_words_of_a_file() {
        let twice = parse("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!(twice.to_string(), "3:1: \"a\" is there twice");
        let deep = parse(&format!("a: {}", "[".repeat(5000))).unwrap_err();
        assert!(deep.words.contains("inside each other"), "{deep}");
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let former = format!("*a{}, ", level - 1).repeat(8);
            bomb += &format!("a{level}: &a{level} [{former}]\n");
        }
        let bomb = parse(&bomb).unwrap_err();
        assert!(bomb.words.contains("than any topology has"), "{bomb}");
    }

    #[test]
    fn json_is_yaml_too() {
        let root = parse("{\"name\": \"lab\", \"links\": []}").unwrap();
        assert!(root.map("the file").is_ok());
    }
}
