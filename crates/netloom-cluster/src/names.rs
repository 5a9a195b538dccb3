//! Names that are parts of keys and paths, valid by construction.

use crate::Malformed;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A letter or digit, then letters, digits, `_`, `.` and `-`: safe in a key and as a file name.
fn check(what: &str, text: &str, longest: usize) -> Result<(), Malformed> {
    let is_plain = text
        .bytes()
        .enumerate()
        .all(|(at, byte)| byte.is_ascii_alphanumeric() || at > 0 && b"_.-".contains(&byte));
    if is_plain && !text.is_empty() && text.len() <= longest {
        return Ok(());
    }
    Err(Malformed::new(format!(
        "{what} {text:?}: 1 to {longest} letters, digits, '_', '.' and '-' are expected, the first \
         a letter or digit"
    )))
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $longest:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `text`.
            ///
            /// # Errors
            /// Other characters or lengths than the type's.
            pub fn new(text: impl Into<String>) -> Result<Self, Malformed> {
                let text = text.into();
                check($what, &text, $longest)?;
                Ok(Self(text))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Malformed;

            fn try_from(text: String) -> Result<Self, Malformed> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

name! {
    /// The name of a node: 1 to 253 letters, digits, `_`, `.` and `-`.
    NodeName, "node name", 253
}

name! {
    /// The name of a space: 1 to 100 letters, digits, `_`, `.` and `-`. It is a part of keys and the
    /// name of a directory.
    SpaceName, "space", 100
}

name! {
    /// What tells one store from another: etcd's cluster id, or the UID of Kubernetes' namespace
    /// `kube-system`. One that was wiped, or restored as etcd restores, has another.
    ClusterId, "cluster id", 64
}
