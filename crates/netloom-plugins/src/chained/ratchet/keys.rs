//! The keys of a JSON object, read one by one. Derived readers of types with so many keys as a link,
//! a configuration and a record have would be a tenth of all plugins together.

use netloom_spec::{Error, code, decode};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// An object, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Keys<'a> {
    object: &'a Map<String, Value>,
    at: String,
}

impl<'a> Keys<'a> {
    pub(super) fn of(object: &'a Map<String, Value>, at: impl Into<String>) -> Self {
        Self {
            object,
            at: at.into(),
        }
    }

    /// An object in place of any value.
    pub(super) fn in_value(value: &'a Value, at: impl Into<String>) -> Result<Self, Error> {
        let at = at.into();
        match value.as_object() {
            Some(object) => Ok(Self { object, at }),
            None => Err(unexpected(&at, "an object", value)),
        }
    }

    /// The name of a key, for people.
    pub(super) fn name(&self, key: &str) -> String {
        match self.at.as_str() {
            "" => key.to_owned(),
            at => format!("{at}.{key}"),
        }
    }

    pub(super) fn get(&self, key: &'static str) -> Option<&'a Value> {
        decode::saw_key(&self.at, key);
        decode::get(self.object, key)
    }

    /// A value; the default if there is none.
    fn read<T: DeserializeOwned + Default>(&self, key: &'static str) -> Result<T, Error> {
        match self.get(key) {
            Some(value) => self.read_value(key, value),
            None => Ok(T::default()),
        }
    }

    /// The value of a key that the object itself has.
    pub(super) fn read_value<T: DeserializeOwned>(
        &self,
        key: &str,
        value: &Value,
    ) -> Result<T, Error> {
        decode::from_value_at(value, &self.name(key))
    }

    pub(super) fn text(&self, key: &'static str) -> Result<String, Error> {
        self.read(key)
    }

    pub(super) fn texts(&self, key: &'static str) -> Result<Vec<String>, Error> {
        self.read(key)
    }

    pub(super) fn number(&self, key: &'static str) -> Result<u32, Error> {
        self.read(key)
    }

    pub(super) fn flag(&self, key: &'static str) -> Result<bool, Error> {
        self.read(key)
    }

    /// An object; an empty one if there is none.
    pub(super) fn object(&self, key: &'static str) -> Result<Option<Keys<'a>>, Error> {
        let object = self
            .get(key)
            .map(|value| Self::in_value(value, self.name(key)));
        object.transpose()
    }

    /// The object as it is.
    pub(super) fn whole(&self) -> &'a Map<String, Value> {
        self.object
    }

    /// A list of objects.
    pub(super) fn objects(&self, key: &'static str) -> Result<Vec<Keys<'a>>, Error> {
        match self.get(key) {
            Some(value) => objects_in(value, &self.name(key)),
            None => Ok(Vec::new()),
        }
    }
}

/// The objects of a list.
pub(super) fn objects_in<'a>(value: &'a Value, at: &str) -> Result<Vec<Keys<'a>>, Error> {
    let list = value.as_array();
    let list = list.ok_or_else(|| unexpected(at, "a list", value))?;
    let numbered = list.iter().enumerate();
    numbered
        .map(|(index, value)| Keys::in_value(value, format!("{at}[{index}]")))
        .collect()
}

fn unexpected(at: &str, expected: &str, value: &Value) -> Error {
    let what = format!("{at}: expected {expected}, got {value}");
    Error::new(code::DECODING, what)
}

/// Adds a key, unless its value says nothing.
pub(super) fn put(object: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    let value = value.into();
    let is_empty = match &value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(true) => false,
    };
    if !is_empty {
        object.insert(key.to_owned(), value);
    }
}
