//! The error object (CNI spec 1.1.0, section 5, "Error").

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Version, terminal};

/// The codes of the error object. 0 to 99 belong to the specification, 100 and
/// up to the plugins.
pub mod code {
    /// The plugin does not speak the version of the configuration.
    pub const INCOMPATIBLE_VERSION: u32 = 1;
    /// A field of the configuration is not supported; the message names it and its value.
    pub const UNSUPPORTED_FIELD: u32 = 2;
    /// The container is unknown or does not exist: the runtime need not clean up.
    pub const UNKNOWN_CONTAINER: u32 = 3;
    /// A `CNI_*` variable is missing or invalid; the message names it.
    pub const INVALID_ENVIRONMENT: u32 = 4;
    /// Reading or writing failed.
    pub const IO: u32 = 5;
    /// Something could not be decoded: broken JSON, or a value of the wrong JSON type.
    pub const DECODING: u32 = 6;
    /// The configuration is well formed but not valid.
    pub const INVALID_CONFIG: u32 = 7;
    /// The network namespace is not one a container may have. Not in the
    /// specification, but in use by the reference implementation.
    pub const INVALID_NETNS: u32 = 8;
    /// A passing condition: the runtime should try again later.
    pub const TRY_AGAIN_LATER: u32 = 11;
    /// STATUS: the plugin cannot serve ADD.
    pub const PLUGIN_NOT_AVAILABLE: u32 = 50;
    /// STATUS: the plugin cannot serve ADD, and existing containers may have
    /// limited connectivity.
    pub const LIMITED_CONNECTIVITY: u32 = 51;
    /// Any other failure. Not in the specification, but what the reference
    /// implementation uses for every plain error.
    pub const INTERNAL: u32 = 999;
}

/// The error object a plugin prints on failure, and the error type of this crate.
///
/// `Display` gives `msg; details`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Error {
    /// The protocol version the object is written in, when known.
    #[serde(rename = "cniVersion", skip_serializing_if = "Option::is_none")]
    pub cni_version: Option<String>,
    /// One of [`code`], or a plugin's own from 100 up. 0 is unknown.
    pub code: u32,
    /// One line that says what is wrong.
    pub msg: String,
    /// More, for a person; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub details: String,
}

impl Error {
    /// An error of `code` with a one-line message and no details. Messages quote what was configured,
    /// which may hold anything: control characters are written as in Rust (`\n`).
    pub fn new(code: u32, msg: impl Into<String>) -> Self {
        Self {
            cni_version: None,
            code,
            msg: terminal::one_line(&msg.into()).into_owned(),
            details: String::new(),
        }
    }

    /// The same error with `details`.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }

    /// The same error, marked as written in `version`.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.cni_version = Some(version.into());
        self
    }

    /// The same error, its message led by `context` and a colon.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.msg = format!("{}: {}", terminal::one_line(&context.to_string()), self.msg);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.msg)?;
        if !self.details.is_empty() {
            write!(f, "; {}", self.details)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_displays_as_message_and_details() {
        let fault = Error::new(7, "bad").context("conf");
        assert_eq!(fault.to_string(), "conf: bad");
        assert_eq!(fault.with_details("why").to_string(), "conf: bad; why");
    }

    #[test]
    fn its_message_is_one_line_whatever_it_quotes() {
        let fault = Error::new(7, "pair \"IP=1\n\t\": bad").context("a\r\nb");
        assert_eq!(fault.msg, r#"a\r\nb: pair "IP=1\n\t": bad"#);
    }

    #[test]
    fn it_prints_the_version_first_and_no_empty_details() {
        let fault = Error::new(11, "busy");
        assert_eq!(
            fault.to_json(),
            "{\n    \"code\": 11,\n    \"msg\": \"busy\"\n}"
        );
        let fault = fault.with_details("lock").with_version(Version::V1_1_0);
        assert_eq!(
            fault.to_json(),
            "{\n    \"cniVersion\": \"1.1.0\",\n    \"code\": 11,\n    \"msg\": \"busy\",\n    \
             \"details\": \"lock\"\n}"
        );
        assert_eq!(Error::parse(fault.to_json().as_bytes()).unwrap(), fault);
    }

    #[test]
    fn what_a_plugin_printed_is_read_leniently() {
        let fault =
            Error::parse(br#"{"Code": 100, "MSG": "no", "details": null, "x": 1}"#).unwrap();
        assert_eq!(fault, Error::new(100, "no"));
        assert_eq!(Error::parse(b"{}").unwrap().code, 0);
        for text in [
            "",
            "panic: x",
            "[]",
            r#"{"code": "7"}"#,
            r#"{"code": 1} {"code": 2}"#,
        ] {
            let fault = Error::parse(text.as_bytes()).unwrap_err();
            assert_eq!(fault.code, code::DECODING, "{text}");
            assert!(fault.msg.starts_with("invalid error object: "), "{fault}");
        }
    }
}
