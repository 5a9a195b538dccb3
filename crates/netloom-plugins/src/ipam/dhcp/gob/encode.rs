//! Messages: descriptions of types, and values of them.

/// The id of a type in a stream. Those of the basic types are fixed; 64 and less are reserved.
pub(in super::super) type TypeId = i64;

impl Fields {
    pub(in super::super) const INT: TypeId = super::types::INT;
    pub(in super::super) const UINT: TypeId = super::types::UINT;
    pub(in super::super) const BYTES: TypeId = super::types::BYTES;
    pub(in super::super) const STRING: TypeId = super::types::STRING;
}

/// The fields of a struct in the order of their numbers. Zero values are left out.
#[derive(Debug, Default)]
pub(in super::super) struct Fields {
    out: Vec<u8>,
    last: u64,
}

impl Fields {
    fn field(&mut self, number: u64) -> &mut Vec<u8> {
        put_uint(&mut self.out, number - self.last);
        self.last = number;
        &mut self.out
    }

    pub(in super::super) fn uint(mut self, number: u64, value: u64) -> Self {
        if value != 0 {
            put_uint(self.field(number), value);
        }
        self
    }

    pub(in super::super) fn int(mut self, number: u64, value: i64) -> Self {
        if value != 0 {
            put_int(self.field(number), value);
        }
        self
    }

    pub(in super::super) fn bytes(mut self, number: u64, value: &[u8]) -> Self {
        if !value.is_empty() {
            put_bytes(self.field(number), value);
        }
        self
    }

    pub(in super::super) fn string(self, number: u64, value: &str) -> Self {
        self.bytes(number, value.as_bytes())
    }

    pub(in super::super) fn record(mut self, number: u64, value: Self) -> Self {
        self.field(number).extend(value.finish());
        self
    }

    pub(in super::super) fn records<T>(
        mut self,
        number: u64,
        values: &[T],
        each: impl Fn(&T) -> Self,
    ) -> Self {
        if !values.is_empty() {
            let out = self.field(number);
            put_uint(out, values.len() as u64);
            values
                .iter()
                .for_each(|value| out.extend(each(value).finish()));
        }
        self
    }

    pub(in super::super) fn strings(mut self, number: u64, values: &[String]) -> Self {
        if !values.is_empty() {
            let out = self.field(number);
            put_uint(out, values.len() as u64);
            values
                .iter()
                .for_each(|value| put_bytes(out, value.as_bytes()));
        }
        self
    }

    fn finish(mut self) -> Vec<u8> {
        self.out.push(0);
        self.out
    }
}

/// The message that holds one struct.
pub(in super::super) fn message(id: TypeId, value: Fields) -> Vec<u8> {
    framed(id, &value.finish())
}

/// The message that describes a struct by the names and types of its fields.
pub(in super::super) fn struct_type(id: TypeId, name: &str, fields: &[(&str, TypeId)]) -> Vec<u8> {
    let description =
        Fields::default()
            .record(1, common(id, name))
            .records(2, fields, |(name, id)| {
                Fields::default().string(1, name).int(2, *id)
            });
    framed(-id, &Fields::default().record(3, description).finish())
}

/// The message that describes a slice.
pub(in super::super) fn slice_type(id: TypeId, name: &str, element: TypeId) -> Vec<u8> {
    let description = Fields::default()
        .record(1, common(id, name))
        .int(2, element);
    framed(-id, &Fields::default().record(2, description).finish())
}

fn common(id: TypeId, name: &str) -> Fields {
    Fields::default().string(1, name).int(2, id)
}

fn framed(id: TypeId, content: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(content.len() + 2);
    put_int(&mut body, id);
    body.extend_from_slice(content);
    let mut message = Vec::with_capacity(body.len() + 3);
    put_bytes(&mut message, &body);
    message
}

fn put_uint(out: &mut Vec<u8>, value: u64) {
    if value < 0x80 {
        out.push(value.to_le_bytes()[0]);
        return;
    }
    let skip = value.leading_zeros() as usize / 8;
    let bytes = &value.to_be_bytes()[skip..];
    out.push((bytes.len() as u8).wrapping_neg());
    out.extend_from_slice(bytes);
}

fn put_int(out: &mut Vec<u8>, value: i64) {
    let coded = if value < 0 {
        (!value).cast_unsigned() << 1 | 1
    } else {
        value.cast_unsigned() << 1
    };
    put_uint(out, coded);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_uint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
