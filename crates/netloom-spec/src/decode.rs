//! JSON into Rust types with the semantics of Go's `encoding/json`.
//!
//! Configurations in the field were written against the reference
//! implementation, so its reading of JSON is part of the interface:
//!
//! - the keys of structs match whatever their case; an exact match is preferred;
//! - `null` is the same as absent in a struct, and the zero value elsewhere;
//! - unknown keys are ignored, and of duplicate keys the last wins;
//! - an integer is an integer: not `1.5`, not `1e3`, not `"1"`;
//! - nothing but white space may follow the document.
//!
//! The types are ordinary `serde::Deserialize`. A field `#[serde(default,
//! rename = "*")] extra: Map<String, Value>` receives the keys that no other
//! field matched. `flatten`, `untagged` and internally tagged enums bypass the
//! rules above, as serde buffers their content: do not use them.
//!
//! Errors name the path to the value, the value, and what was expected.
//! [`code::DECODING`] is given for broken JSON and for a value of the wrong JSON
//! type, [`code::INVALID_CONFIG`] for one of the right type that is not valid.

mod decode_error;
mod node;
mod step;
mod trace;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, code};
use decode_error::DecodeError;
use node::{Node, ObjectNode};
pub use step::Step;
pub use trace::{Trace, saw_key, traced};

/// Reads `T` from a value.
///
/// # Errors
/// As the module says.
pub fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, Error> {
    T::deserialize(Node(value)).map_err(DecodeError::into)
}

/// As [`from_value`], of a value inside another. Errors name its place, `links[0].mtu`, before all else.
///
/// # Errors
/// As the module says.
pub fn from_value_at<T: DeserializeOwned>(value: &Value, place: &str) -> Result<T, Error> {
    T::deserialize(Node(value)).map_err(|fault: DecodeError| fault.below(place).into())
}

/// Reads `T` from an object.
///
/// # Errors
/// As the module says.
pub fn from_object<T: DeserializeOwned>(object: &Map<String, Value>) -> Result<T, Error> {
    T::deserialize(ObjectNode(object)).map_err(DecodeError::into)
}

/// Reads `T` from a JSON document.
///
/// # Errors
/// As the module says.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    from_value(&parse(bytes)?)
}

/// Reads a JSON document.
///
/// # Errors
/// [`code::DECODING`] if `bytes` are not exactly one.
pub fn parse(bytes: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(bytes)
        .map_err(|fault| Error::new(code::DECODING, format!("invalid JSON: {fault}")))
}

/// Reads a JSON document that is an object.
///
/// # Errors
/// [`code::DECODING`] if `bytes` are not exactly one.
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, Error> {
    match parse(bytes)? {
        Value::Object(object) => Ok(object),
        other => Err(Error::new(
            code::DECODING,
            format!(
                "expected a JSON object, got {}",
                decode_error::describe(&other)
            ),
        )),
    }
}

/// The value in `object` that the struct field `key` would get: that of the key
/// itself, else of a key that differs only in case. `null` is as if absent.
pub fn get<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    find(object, key).map(|(_, value)| value)
}

/// As [`get`], with the key as the document spells it.
pub(crate) fn find<'a>(object: &'a Map<String, Value>, key: &str) -> Option<(&'a str, &'a Value)> {
    let present = |value: &&Value| !value.is_null();
    if let Some((spelled, value)) = object
        .get_key_value(key)
        .filter(|(_, value)| present(value))
    {
        return Some((spelled, value));
    }
    // Of several the last wins, as it would in Go on re-encoded (sorted) JSON.
    let mut matching = object
        .iter()
        .filter(|(spelled, _)| spelled.eq_ignore_ascii_case(key));
    matching
        .rfind(|(_, value)| present(value))
        .map(|(spelled, value)| (spelled.as_str(), value))
}

/// Pretty JSON as CNI plugins print it: four-space indent, no newline at the end.
pub(crate) fn pretty<T: Serialize>(value: &T) -> String {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    // Writing to memory cannot fail, and the types of this crate are plain maps
    // with text keys.
    let written = value.serialize(&mut serializer);
    debug_assert!(written.is_ok(), "{written:?}");
    String::from_utf8(bytes).unwrap_or_default()
}

/// Compact JSON.
pub(crate) fn compact<T: Serialize>(value: &T) -> String {
    let text = serde_json::to_string(value);
    debug_assert!(text.is_ok(), "{text:?}");
    text.unwrap_or_default()
}

#[cfg(test)]
mod tests;
