//! The serde deserializer over a JSON value that has Go's semantics.

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::decode_error::DecodeError;
use super::find;
use super::step::Step;
use super::trace;

/// The field that receives the keys no other field matched.
const REST: &str = "*";

/// A value to decode.
#[derive(Clone, Copy)]
pub(super) struct Node<'a>(pub(super) &'a Value);

/// An object to decode that is not inside a value.
pub(super) struct ObjectNode<'a>(pub(super) &'a Map<String, Value>);

macro_rules! integers {
    ($($method:ident $type:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            self.integer(visitor, i128::from($type::MIN), i128::from($type::MAX))
        }
    )*};
}

impl Node<'_> {
    /// An integer from `min` to `max`.
    fn integer<'de, V: Visitor<'de>>(
        self,
        visitor: V,
        min: i128,
        max: i128,
    ) -> Result<V::Value, DecodeError> {
        let expected = || format!("an integer from {min} to {max}");
        let number = match self.0 {
            Value::Null => 0,
            Value::Number(number) => match number.as_i128() {
                Some(number) if (min..=max).contains(&number) => number,
                _ => return Err(DecodeError::bad_value(self.0, &expected())),
            },
            other => return Err(DecodeError::wrong_type(other, &expected())),
        };
        let visited = match (u64::try_from(number), i64::try_from(number)) {
            (Ok(number), _) => visitor.visit_u64(number),
            (_, Ok(number)) => visitor.visit_i64(number),
            _ => visitor.visit_i128(number),
        };
        visited.map_err(|fault: DecodeError| fault.showing(self.0))
    }

    fn text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::String(text) => visitor.visit_str(text),
            Value::Null => visitor.visit_str(""),
            other => return Err(DecodeError::wrong_type(other, "a string")),
        }
        .map_err(|fault: DecodeError| fault.showing(self.0))
    }

    fn array<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let elements = match self.0 {
            Value::Array(elements) => elements.as_slice(),
            Value::Null => &[],
            other => return Err(DecodeError::wrong_type(other, "an array")),
        };
        let mut access = Elements {
            rest: elements.iter(),
            next: 0,
        };
        let visited = visitor.visit_seq(&mut access)?;
        match access.rest.len() {
            0 => Ok(visited),
            _ => Err(DecodeError::bad_value(
                self.0,
                &format!("an array of {} elements", access.next),
            )),
        }
    }
}

/// The entries of a map that has any keys.
fn visit_entries<'de, V: Visitor<'de>>(
    object: &Map<String, Value>,
    visitor: V,
) -> Result<V::Value, DecodeError> {
    visitor.visit_map(Entries::of_map(object))
}

/// The entries of a struct: for each field the one key that stands for it.
///
/// There is one such function for each type that is read anywhere, so all that does not depend on the
/// type is elsewhere: it was a twelfth of the plugin binary.
fn visit_fields<'de, V: Visitor<'de>>(
    object: &Map<String, Value>,
    fields: &'static [&'static str],
    visitor: V,
) -> Result<V::Value, DecodeError> {
    trace::saw_fields(fields);
    let unmatched = unmatched(object, fields);
    visitor.visit_map(Entries::of_struct(object, fields, unmatched.as_ref()))
}

/// What no field stands for, if the struct has a field for that.
fn unmatched(object: &Map<String, Value>, fields: &[&str]) -> Option<Value> {
    if !fields.contains(&REST) {
        return None;
    }
    let is_field = |key: &str| fields.iter().any(|field| field.eq_ignore_ascii_case(key));
    let mut unmatched = Map::new();
    for (key, value) in object.iter().filter(|(key, _)| !is_field(key)) {
        unmatched.insert(key.clone(), value.clone());
    }
    Some(Value::Object(unmatched))
}

macro_rules! forward {
    ($($method:ident => $target:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            self.$target(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = DecodeError;

    integers! {
        deserialize_i8 i8 deserialize_i16 i16 deserialize_i32 i32 deserialize_i64 i64
        deserialize_u8 u8 deserialize_u16 u16 deserialize_u32 u32 deserialize_u64 u64
    }

    forward! {
        deserialize_char => text
        deserialize_str => text
        deserialize_string => text
        deserialize_identifier => text
        deserialize_seq => array
        deserialize_bytes => deserialize_any
        deserialize_byte_buf => deserialize_any
        deserialize_f32 => deserialize_f64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let visited = match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (_, _, Some(number)) => visitor.visit_f64(number),
                _ => Err(DecodeError::bad_value(self.0, "a number of 64 bits")),
            },
            Value::String(text) => visitor.visit_str(text),
            Value::Array(_) => return self.array(visitor),
            Value::Object(object) => return visit_entries(object, visitor),
        };
        visited.map_err(|fault| fault.showing(self.0))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Null => visitor.visit_bool(false),
            other => Err(DecodeError::wrong_type(other, "true or false")),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Number(number) => visitor.visit_f64(number.as_f64().unwrap_or_default()),
            Value::Null => visitor.visit_f64(0.0),
            other => Err(DecodeError::wrong_type(other, "a number")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            other => Err(DecodeError::wrong_type(other, "null")),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.array(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.array(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Object(object) => visit_entries(object, visitor),
            Value::Null => visit_entries(&Map::new(), visitor),
            other => Err(DecodeError::wrong_type(other, "an object")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Object(object) => visit_fields(object, fields, visitor),
            Value::Null => visit_fields(&Map::new(), fields, visitor),
            other => Err(DecodeError::wrong_type(other, "an object")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(StrDeserializer::new(text)),
            Value::Object(object) => {
                let access = Entries::of_map(object);
                visitor.visit_enum(MapAccessDeserializer::new(access))
            }
            other => Err(DecodeError::wrong_type(
                other,
                &format!("one of {}", variants.join(", ")),
            )),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }
}

impl<'de> Deserializer<'de> for ObjectNode<'_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visit_entries(self.0, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visit_fields(self.0, fields, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_some(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The elements of an array not yet visited.
struct Elements<'a> {
    rest: std::slice::Iter<'a, Value>,
    next: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Some(element) = self.rest.next() else {
            return Ok(None);
        };
        let index = self.next;
        self.next += 1;
        let decoded = trace::inside(|| Step::Index(index), || seed.deserialize(Node(element)));
        decoded
            .map(Some)
            .map_err(|fault| fault.showing(element).at(Step::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// The entries of an object not yet visited: the name the visitor knows, the
/// key as the document spells it, the value.
struct Entries<'a> {
    rest: std::vec::IntoIter<(&'a str, &'a str, &'a Value)>,
    current: Option<(&'a str, &'a Value)>,
}

impl<'a> Entries<'a> {
    fn of(entries: Vec<(&'a str, &'a str, &'a Value)>) -> Self {
        Self {
            rest: entries.into_iter(),
            current: None,
        }
    }

    fn of_map(object: &'a Map<String, Value>) -> Self {
        let entries = object.iter();
        Self::of(
            entries
                .map(|(key, value)| (key.as_str(), key.as_str(), value))
                .collect(),
        )
    }

    fn of_struct(
        object: &'a Map<String, Value>,
        fields: &[&'a str],
        unmatched: Option<&'a Value>,
    ) -> Self {
        let mut entries = Vec::with_capacity(fields.len());
        for field in fields.iter().filter(|field| **field != REST) {
            if let Some((spelled, value)) = find(object, field) {
                entries.push((*field, spelled, value));
            }
        }
        entries.extend(unmatched.map(|value| (REST, REST, value)));
        Self::of(entries)
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        let Some((name, spelled, value)) = self.rest.next() else {
            return Ok(None);
        };
        self.current = Some((spelled, value));
        let key: StrDeserializer<'_, DecodeError> = name.into_deserializer();
        let decoded = seed.deserialize(key);
        decoded
            .map(Some)
            .map_err(|fault| fault.at(Step::Key(spelled.to_owned())))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<T::Value, DecodeError> {
        let (spelled, value) = self.current.take().unwrap_or(("", &Value::Null));
        let decoded = trace::inside(
            || Step::Key(spelled.to_owned()),
            || seed.deserialize(Node(value)),
        );
        decoded.map_err(|fault| fault.showing(value).at(Step::Key(spelled.to_owned())))
    }
}
