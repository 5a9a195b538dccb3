//! Why something from outside was not understood.

use std::fmt;

/// Why a record, a file or a message is refused: one line that names the field and the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(String);

impl Malformed {
    /// With this reason. Line breaks and other control characters of it are escaped.
    pub fn new(reason: impl AsRef<str>) -> Self {
        let mut text = String::new();
        for c in reason.as_ref().chars().take(400) {
            if c.is_control() {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        Self(text)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

/// Reads JSON of at most `limit` bytes.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(
    bytes: &[u8],
    limit: usize,
) -> Result<T, Malformed> {
    if bytes.len() > limit {
        let length = bytes.len();
        return Err(Malformed::new(format!(
            "{length} bytes, and at most {limit} are read"
        )));
    }
    serde_json::from_slice(bytes).map_err(|error| Malformed::new(error.to_string()))
}

/// Refuses another version than the one that is understood.
pub(crate) fn require_version(v: u32) -> Result<(), Malformed> {
    if v == VERSION {
        return Ok(());
    }
    Err(Malformed::new(format!(
        "v is {v}, and this netloom understands {VERSION}"
    )))
}

/// The version of every record, file and message.
pub(crate) const VERSION: u32 = 1;
