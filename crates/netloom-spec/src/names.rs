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
    /// `..`, without `/`, `:`, `%`, white space or NUL.
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
    // No link can have such a name, and one that is made by it gets another.
    if name.contains('%') {
        return invalid(
            "interface name contains %, which the kernel takes for a place of a number",
        )
        .map_err(|fault: Error| fault.with_details(format!("{name:?}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault<T: fmt::Debug>(outcome: Result<T, Error>) -> (u32, String) {
        let fault = outcome.unwrap_err();
        (fault.code, fault.msg)
    }

    #[test]
    fn plain_names_are_ids_and_network_names() {
        for text in ["a", "0", "a.b-c_d", "Z9", &"x".repeat(300)] {
            assert_eq!(ContainerId::new(text).unwrap().as_str(), text);
            assert_eq!(NetworkName::new(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_empty_id_is_an_unknown_container() {
        assert_eq!(
            fault(ContainerId::new("")),
            (3, "missing containerID".to_owned())
        );
    }

    #[test]
    fn an_empty_network_name_is_an_invalid_configuration() {
        assert_eq!(
            fault(NetworkName::new("")),
            (7, "missing network name".to_owned())
        );
    }

    #[test]
    fn other_characters_are_refused_and_shown() {
        for text in [
            "-a", "_a", ".a", "a/b", "../a", "a b", "a\n", "é", "a\0", "a;b",
        ] {
            let id = ContainerId::new(text).unwrap_err();
            assert_eq!((id.code, id.details.as_str()), (4, text));
            assert_eq!(id.msg, "invalid characters in containerID");
            let name = NetworkName::new(text).unwrap_err();
            assert_eq!((name.code, name.details.as_str()), (7, text));
            assert_eq!(name.msg, "invalid characters found in network name");
        }
    }

    #[test]
    fn interface_names_are_those_the_kernel_takes() {
        for text in ["eth0", "a", "...", "eth0.5", "exactly15bytes_", "ü", "-x"] {
            assert_eq!(IfName::new(text).unwrap().as_str(), text);
        }
        let contains = "interface name contains / or : or whitespace characters";
        for (text, msg) in [
            ("", "interface name is empty"),
            ("sixteen_bytes_is", "interface name is too long"),
            ("üüüüüüüü", "interface name is too long"),
            (".", "interface name is . or .."),
            ("..", "interface name is . or .."),
            ("a/b", contains),
            ("eth0:1", contains),
            ("a b", contains),
            ("a\tb", contains),
            ("a\u{a0}b", contains),
            ("a\u{2003}b", contains),
            ("a\0b", contains),
        ] {
            assert_eq!(fault(IfName::new(text)), (4, msg.to_owned()), "{text:?}");
        }
    }
}
