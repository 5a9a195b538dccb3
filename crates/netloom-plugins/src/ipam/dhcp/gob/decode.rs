//! Values, read by the types their stream has described.

use super::GobError;
use super::reader::{Reader, first_message};
use super::types::{self, DEPTH_MAX, Description, Types};

/// A struct that can be read from a stream.
pub(in super::super) trait Record: Default {
    /// Takes the value of a field; one that is not wanted is simply not taken.
    ///
    /// # Errors
    /// The value is not of the type wanted.
    fn set(&mut self, field: &str, value: &mut Value<'_, '_>) -> Result<(), GobError>;
}

/// One direction of a connection: what has arrived, and the types described in it.
#[derive(Debug, Default)]
pub(in super::super) struct Decoder {
    received: Vec<u8>,
    types: Types,
}

impl Decoder {
    /// Adds bytes that have arrived.
    pub(in super::super) fn feed(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
    }

    /// How much has arrived and was not read yet.
    pub(in super::super) fn waiting(&self) -> usize {
        self.received.len()
    }

    /// The next value, if it has arrived in full.
    ///
    /// # Errors
    /// What arrived is no gob stream, or not a value of that type.
    pub(in super::super) fn next<T: Record>(&mut self) -> Result<Option<T>, GobError> {
        self.next_value(|types, id, reader| match types.get(id)? {
            Description::Struct { fields } => record(types, fields, reader, 0),
            _ => Err(mismatch("", "a struct")),
        })
    }

    /// Passes over the next value. False if it has not arrived in full.
    ///
    /// # Errors
    /// What arrived is no gob stream.
    #[cfg(any(test, fuzzing))]
    pub(in super::super) fn skip(&mut self) -> Result<bool, GobError> {
        let skipped = self.next_value(|types, id, reader| {
            if !matches!(types.get(id), Ok(Description::Struct { .. })) {
                // A value that is no struct is preceded by a zero.
                reader.uint()?;
            }
            types.skip(id, reader, 0)
        })?;
        Ok(skipped.is_some())
    }

    fn next_value<T>(
        &mut self,
        read: impl Fn(&Types, i64, &mut Reader<'_>) -> Result<T, GobError>,
    ) -> Result<Option<T>, GobError> {
        loop {
            let Some((content, consumed)) = first_message(&self.received)? else {
                return Ok(None);
            };
            let mut reader = Reader(content);
            let id = reader.int()?;
            let value = if id < 0 {
                let id = id.checked_neg().ok_or(GobError::Integer)?;
                self.types.describe(id, &mut reader)?;
                None
            } else {
                Some(read(&self.types, id, &mut reader)?)
            };
            if !reader.is_empty() {
                return Err(GobError::Description(id));
            }
            self.received.drain(..consumed);
            if value.is_some() {
                return Ok(value);
            }
        }
    }
}

fn record<T: Record>(
    types: &Types,
    known: &[(String, i64)],
    reader: &mut Reader<'_>,
    depth: usize,
) -> Result<T, GobError> {
    if depth > DEPTH_MAX {
        return Err(GobError::Limit);
    }
    let mut record = T::default();
    types::fields(reader, |number, reader| {
        let (name, id) = types::field(known, number)?;
        let mut value = Value {
            types,
            field: name,
            id: *id,
            reader,
            depth,
            taken: false,
        };
        record.set(name, &mut value)?;
        if value.taken {
            Ok(())
        } else {
            types.skip(*id, value.reader, depth + 1)
        }
    })?;
    Ok(record)
}

/// The value of one field, to be taken as the type wanted.
pub(in super::super) struct Value<'v, 'm> {
    types: &'v Types,
    field: &'v str,
    id: i64,
    reader: &'v mut Reader<'m>,
    depth: usize,
    taken: bool,
}

impl Value<'_, '_> {
    fn expect(&mut self, id: i64, expected: &'static str) -> Result<(), GobError> {
        self.taken = true;
        if self.id == id {
            Ok(())
        } else {
            Err(mismatch(self.field, expected))
        }
    }

    pub(in super::super) fn string(&mut self) -> Result<String, GobError> {
        self.expect(types::STRING, "a string")?;
        self.reader.string()
    }

    pub(in super::super) fn bytes(&mut self) -> Result<Vec<u8>, GobError> {
        self.expect(types::BYTES, "bytes")?;
        Ok(self.reader.bytes()?.to_vec())
    }

    pub(in super::super) fn uint(&mut self) -> Result<u64, GobError> {
        self.expect(types::UINT, "an unsigned integer")?;
        self.reader.uint()
    }

    pub(in super::super) fn int(&mut self) -> Result<i64, GobError> {
        self.expect(types::INT, "an integer")?;
        self.reader.int()
    }

    pub(in super::super) fn record<T: Record>(&mut self) -> Result<T, GobError> {
        self.taken = true;
        match self.types.get(self.id) {
            Ok(Description::Struct { fields }) => {
                record(self.types, fields, self.reader, self.depth + 1)
            }
            _ => Err(mismatch(self.field, "a struct")),
        }
    }

    pub(in super::super) fn records<T: Record>(&mut self) -> Result<Vec<T>, GobError> {
        self.list(|value| value.record())
    }

    pub(in super::super) fn strings(&mut self) -> Result<Vec<String>, GobError> {
        self.list(|value| value.string())
    }

    fn list<T>(
        &mut self,
        mut each: impl FnMut(&mut Value<'_, '_>) -> Result<T, GobError>,
    ) -> Result<Vec<T>, GobError> {
        self.taken = true;
        let Ok(Description::List { element }) = self.types.get(self.id) else {
            return Err(mismatch(self.field, "a list"));
        };
        let mut list = Vec::new();
        for _ in 0..self.reader.count()? {
            list.push(each(&mut Value {
                types: self.types,
                field: self.field,
                id: *element,
                reader: &mut *self.reader,
                depth: self.depth + 1,
                taken: false,
            })?);
        }
        Ok(list)
    }
}

fn mismatch(field: &str, expected: &'static str) -> GobError {
    GobError::Mismatch {
        field: field.to_owned(),
        expected,
    }
}
