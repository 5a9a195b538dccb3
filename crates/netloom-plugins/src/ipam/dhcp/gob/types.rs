//! The descriptions of types that come with a stream.

use super::GobError;
use super::reader::Reader;
use std::collections::BTreeMap;

pub(super) const BOOL: i64 = 1;
pub(super) const INT: i64 = 2;
pub(super) const UINT: i64 = 3;
pub(super) const FLOAT: i64 = 4;
pub(super) const BYTES: i64 = 5;
pub(super) const STRING: i64 = 6;
pub(super) const COMPLEX: i64 = 7;

/// How many types a stream may describe.
const TYPES_MAX: usize = 256;

/// How deep a value may be nested.
pub(super) const DEPTH_MAX: usize = 32;

/// What a type is made of.
#[derive(Debug)]
pub(super) enum Description {
    /// Slices and arrays, which look the same in a value.
    List {
        element: i64,
    },
    Struct {
        fields: Vec<(String, i64)>,
    },
    Map {
        key: i64,
        value: i64,
    },
    /// A type that encodes itself, as bytes.
    Opaque,
}

/// The types a stream has described so far.
#[derive(Debug, Default)]
pub(super) struct Types(BTreeMap<i64, Description>);

impl Types {
    pub(super) fn get(&self, id: i64) -> Result<&Description, GobError> {
        self.0.get(&id).ok_or(GobError::UnknownType(id))
    }

    /// Reads the description of the type `id`.
    pub(super) fn describe(&mut self, id: i64, reader: &mut Reader<'_>) -> Result<(), GobError> {
        if self.0.len() >= TYPES_MAX {
            return Err(GobError::Limit);
        }
        let mut description = None;
        fields(reader, |kind, reader| {
            description = Some(match kind {
                1 | 2 => list(id, reader)?,
                3 => structure(id, reader)?,
                4 => map(id, reader)?,
                5..=7 => opaque(id, reader)?,
                _ => return Err(GobError::Description(id)),
            });
            Ok(())
        })?;
        let description = description.ok_or(GobError::Description(id))?;
        self.0.insert(id, description);
        Ok(())
    }

    /// Passes over a value of a type.
    pub(super) fn skip(
        &self,
        id: i64,
        reader: &mut Reader<'_>,
        depth: usize,
    ) -> Result<(), GobError> {
        if depth > DEPTH_MAX {
            return Err(GobError::Limit);
        }
        match id {
            BOOL | INT | UINT | FLOAT => return reader.uint().map(drop),
            BYTES | STRING => return reader.bytes().map(drop),
            COMPLEX => return reader.uint().and(reader.uint()).map(drop),
            _ => {}
        }
        match self.get(id)? {
            Description::Opaque => reader.bytes().map(drop),
            Description::List { element } => {
                (0..reader.count()?).try_for_each(|_| self.skip(*element, reader, depth + 1))
            }
            Description::Map { key, value } => (0..reader.count()?).try_for_each(|_| {
                self.skip(*key, reader, depth + 1)?;
                self.skip(*value, reader, depth + 1)
            }),
            Description::Struct { fields: known } => fields(reader, |number, reader| {
                let (_, id) = field(known, number)?;
                self.skip(*id, reader, depth + 1)
            }),
        }
    }
}

/// The field of a struct by its number, which counts from 1.
pub(super) fn field(fields: &[(String, i64)], number: u64) -> Result<&(String, i64), GobError> {
    usize::try_from(number - 1)
        .ok()
        .and_then(|index| fields.get(index))
        .ok_or(GobError::Field(number))
}

/// Walks over a struct: each field is preceded by how far its number is from the one before, and a
/// zero ends it. `each` must take the value of the field.
pub(super) fn fields<'a>(
    reader: &mut Reader<'a>,
    mut each: impl FnMut(u64, &mut Reader<'a>) -> Result<(), GobError>,
) -> Result<(), GobError> {
    let mut number = 0u64;
    loop {
        let delta = reader.uint()?;
        if delta == 0 {
            return Ok(());
        }
        number = number.checked_add(delta).ok_or(GobError::Field(delta))?;
        each(number, reader)?;
    }
}

/// The name and id of a type, which are known already.
fn common(id: i64, reader: &mut Reader<'_>) -> Result<(), GobError> {
    fields(reader, |number, reader| match number {
        1 => reader.bytes().map(drop),
        2 => reader.int().map(drop),
        _ => Err(GobError::Description(id)),
    })
}

fn list(id: i64, reader: &mut Reader<'_>) -> Result<Description, GobError> {
    let mut element = 0;
    fields(reader, |number, reader| match number {
        1 => common(id, reader),
        2 => reader.int().map(|id| element = id),
        3 => reader.int().map(drop),
        _ => Err(GobError::Description(id)),
    })?;
    Ok(Description::List { element })
}

fn map(id: i64, reader: &mut Reader<'_>) -> Result<Description, GobError> {
    let (mut key, mut value) = (0, 0);
    fields(reader, |number, reader| match number {
        1 => common(id, reader),
        2 => reader.int().map(|id| key = id),
        3 => reader.int().map(|id| value = id),
        _ => Err(GobError::Description(id)),
    })?;
    Ok(Description::Map { key, value })
}

fn opaque(id: i64, reader: &mut Reader<'_>) -> Result<Description, GobError> {
    fields(reader, |number, reader| match number {
        1 => common(id, reader),
        _ => Err(GobError::Description(id)),
    })?;
    Ok(Description::Opaque)
}

fn structure(id: i64, reader: &mut Reader<'_>) -> Result<Description, GobError> {
    let mut members = Vec::new();
    fields(reader, |number, reader| match number {
        1 => common(id, reader),
        2 => {
            for _ in 0..reader.count()? {
                members.push(member(id, reader)?);
            }
            Ok(())
        }
        _ => Err(GobError::Description(id)),
    })?;
    Ok(Description::Struct { fields: members })
}

fn member(id: i64, reader: &mut Reader<'_>) -> Result<(String, i64), GobError> {
    let (mut name, mut kind) = (String::new(), 0);
    fields(reader, |number, reader| match number {
        1 => reader.string().map(|text| name = text),
        2 => reader.int().map(|id| kind = id),
        _ => Err(GobError::Description(id)),
    })?;
    Ok((name, kind))
}
