//! What went wrong while decoding, and where.

use std::fmt::{self, Write as _};

use serde::de::{self, Expected, Unexpected};
use serde_json::Value;

use super::step::{Step, steps};
use super::trace;
use crate::error::{Error, code};

/// A decoding error, given its path step by step on the way out.
#[derive(Debug)]
pub(super) struct DecodeError {
    code: u32,
    text: String,
    /// Whether `text` shows the value already.
    shown: bool,
    /// Innermost first.
    path: Vec<Step>,
}

impl DecodeError {
    /// The value is of another JSON type than `expected`.
    pub(super) fn wrong_type(value: &Value, expected: &str) -> Self {
        let text = format!("expected {expected}, got {}", describe(value));
        Self {
            code: code::DECODING,
            text,
            shown: true,
            path: Vec::new(),
        }
    }

    /// The value is of the right JSON type and yet not what is `expected`.
    pub(super) fn bad_value(value: &Value, expected: &str) -> Self {
        let text = format!("invalid value {}, expected {expected}", describe(value));
        Self {
            text,
            shown: true,
            ..Self::plain(String::new())
        }
    }

    fn plain(text: String) -> Self {
        Self {
            code: code::INVALID_CONFIG,
            text,
            shown: false,
            path: Vec::new(),
        }
    }

    /// The same, one step further out.
    pub(super) fn at(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }

    /// The same, of a value at this place.
    pub(super) fn below(mut self, place: &str) -> Self {
        self.path.extend(steps(place).into_iter().rev());
        self
    }

    /// The same, with the value in the text if it is not there yet.
    pub(super) fn showing(mut self, value: &Value) -> Self {
        if !self.shown && self.path.is_empty() {
            self.shown = true;
            let bare = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            if !self.text.contains(&bare) {
                let _ = write!(self.text, " (it is {})", describe(value));
            }
        }
        self
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for step in self.path.iter().rev() {
            let dot = if path.is_empty() { "" } else { "." };
            // Writing to a String cannot fail.
            let _ = match step {
                Step::Index(index) => write!(path, "[{index}]"),
                // An error is one line, whatever the keys of a map are.
                Step::Key(key) if key.contains(char::is_control) => write!(path, "{dot}{key:?}"),
                Step::Key(key) => write!(path, "{dot}{key}"),
            };
        }
        path
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.text)
        } else {
            write!(f, "{}: {}", self.path(), self.text)
        }
    }
}

impl std::error::Error for DecodeError {}

impl From<DecodeError> for Error {
    fn from(fault: DecodeError) -> Self {
        let error = Self::new(fault.code, fault.to_string());
        trace::failed(fault.path);
        error
    }
}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::plain(text.to_string())
    }

    fn invalid_type(got: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let text = format!("expected {expected}, got {got}");
        Self {
            code: code::DECODING,
            text,
            shown: true,
            path: Vec::new(),
        }
    }

    fn invalid_value(got: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self {
            shown: true,
            ..Self::plain(format!("invalid value {got}, expected {expected}"))
        }
    }

    fn unknown_variant(got: &str, expected: &'static [&'static str]) -> Self {
        let known: Vec<String> = expected.iter().map(|word| format!("{word:?}")).collect();
        let text = format!(
            "invalid value {got:?}, expected one of {}",
            known.join(", ")
        );
        Self {
            shown: true,
            ..Self::plain(text)
        }
    }

    fn missing_field(field: &'static str) -> Self {
        let fault = Self::plain("required, but missing".to_owned());
        Self {
            shown: true,
            ..fault
        }
        .at(Step::Key(field.to_owned()))
    }
}

/// At most this many characters of a text are shown.
const SHOWN: usize = 80;

/// The value in a few words: what it is, and if it is small, what it says.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.chars().count() > SHOWN => {
            let start: String = text.chars().take(SHOWN).collect();
            format!("the string {start:?}…")
        }
        Value::String(text) => format!("the string {text:?}"),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
