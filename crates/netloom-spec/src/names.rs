//! Container ids, network names and interface names, valid by construction.

use std::fmt;

use crate::error::{Error, code};

/// Whether `text` starts with a letter or digit and goes on with letters,
/// digits, `_`, `.` and `-`, all ASCII. Such text is safe as a file name.
fn is_plain(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Checks `text`.
            ///
            /// # Errors
            /// The code and message the type's documentation gives.
            pub fn new(text: impl Into<String>) -> Result<Self, Error> {
                let text = text.into();
                $check(&text)?;
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

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
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
    /// A container id (`CNI_CONTAINERID`): a letter or digit, then letters,
    /// digits, `_`, `.` and `-`.
    ///
    /// Empty gives [`code::UNKNOWN_CONTAINER`], other characters
    /// [`code::INVALID_ENVIRONMENT`].
    ContainerId, check_container_id
}

name! {
    /// A network's name (`name` in the configuration): a letter or digit, then
    /// letters, digits, `_`, `.` and `-`.
    ///
    /// Anything else gives [`code::INVALID_CONFIG`].
    NetworkName, check_network_name
}

name! {
    /// A network interface's name (`CNI_IFNAME`): 1 to 15 bytes, not `.` or
    /// `..`, without `/`, `:`, white space or NUL.
    ///
    /// Anything else gives [`code::INVALID_ENVIRONMENT`].
    IfName, check_if_name
}

fn check_container_id(id: &str) -> Result<(), Error> {
    if id.is_empty() {
        return Err(Error::new(code::UNKNOWN_CONTAINER, "missing containerID"));
    }
    if !is_plain(id) {
        let text = "invalid characters in containerID";
        return Err(Error::new(code::INVALID_ENVIRONMENT, text).with_details(id));
    }
    Ok(())
}

fn check_network_name(name: &str) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::new(code::INVALID_CONFIG, "missing network name"));
    }
    if !is_plain(name) {
        let text = "invalid characters found in network name";
        return Err(Error::new(code::INVALID_CONFIG, text).with_details(name));
    }
    Ok(())
}

/// The kernel's IFNAMSIZ less the closing NUL.
const IF_NAME_MAX: usize = 15;

fn check_if_name(name: &str) -> Result<(), Error> {
    let invalid = |text: &str| Err(Error::new(code::INVALID_ENVIRONMENT, text));
    if name.is_empty() {
        return invalid("interface name is empty");
    }
    if name.len() > IF_NAME_MAX {
        return invalid("interface name is too long").map_err(|fault: Error| {
            fault.with_details(format!(
                "interface name should be less than {} characters, {name:?} has {}",
                IF_NAME_MAX + 1,
                name.len()
            ))
        });
    }
    if name == "." || name == ".." {
        return invalid("interface name is . or ..");
    }
    if name.contains(|c: char| c == '/' || c == ':' || c == '\0' || c.is_whitespace()) {
        return invalid("interface name contains / or : or whitespace characters")
            .map_err(|fault: Error| fault.with_details(format!("{name:?}")));
    }
    Ok(())
}
