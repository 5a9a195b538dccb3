//! The error object on the wire.

use crate::decode;
use crate::error::Error;

impl Error {
    /// Reads the error object a plugin printed.
    ///
    /// # Errors
    /// [`code::DECODING`](crate::code::DECODING) if `bytes` are not one JSON object of this shape.
    pub fn parse(bytes: &[u8]) -> Result<Self, Self> {
        decode::from_slice(bytes).map_err(|fault| fault.context("invalid error object"))
    }

    /// The object as a plugin prints it: four-space indent, no newline at the
    /// end, `cniVersion` first when known.
    pub fn to_json(&self) -> String {
        decode::pretty(self)
    }
}
