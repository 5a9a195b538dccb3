//! The part of Go's encoding/gob that net/rpc needs.
//!
//! A stream is messages, each a length and that many bytes. A message either describes a type,
//! under a negative id, or holds a value of a type described before. What is received is read by
//! the descriptions that came with it: fields are found by name, and those nobody wants are
//! skipped, so that both ends may have fields that the other lacks.
//!
//! Everything received is bounded: the length of a message, the number of types, the depth of
//! nesting. Each element costs at least a byte of the message, so memory is bounded as well.

mod decode;
mod encode;
mod reader;
#[cfg(test)]
pub(super) mod tests;
mod types;

pub(super) use decode::{Decoder, Record, Value};
pub(super) use encode::{Fields, TypeId, message, slice_type, struct_type};

/// The longest message accepted. A request carries the whole configuration with `prevResult`.
pub(super) const MESSAGE_MAX: usize = 1 << 20;

/// Why bytes are not a gob stream, or not of the expected types.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum GobError {
    #[error("gob: the message ends too early")]
    Short,
    #[error("gob: a message of {0} bytes, at most {MESSAGE_MAX} are accepted")]
    TooLong(u64),
    #[error("gob: an integer of more than 8 bytes")]
    Integer,
    #[error("gob: type {0} was never described")]
    UnknownType(i64),
    #[error("gob: the description of type {0} is not understood")]
    Description(i64),
    #[error("gob: too many types, or nested too deeply")]
    Limit,
    #[error("gob: field {0} of a struct that has fewer")]
    Field(u64),
    #[error("gob: field {field:?} is not {expected}")]
    Mismatch {
        field: String,
        expected: &'static str,
    },
    #[error("gob: text that is not UTF-8")]
    Text,
}
