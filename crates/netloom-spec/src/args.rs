//! The variable `CNI_ARGS`: `KEY=value;KEY=value`.

use std::fmt;

use crate::error::{Error, code};

/// The key that makes unknown keys no error.
const IGNORE_UNKNOWN: &str = "IgnoreUnknown";

/// The arguments, in order.
///
/// Keys are case-sensitive; of a repeated one the last wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CniArgs {
    pairs: Vec<(String, String)>,
    ignore_unknown: bool,
}

impl CniArgs {
    /// Reads the variable. Empty is no arguments.
    ///
    /// # Errors
    /// [`code::INVALID_ENVIRONMENT`] if a piece between `;` does not have
    /// exactly one `=`, or `IgnoreUnknown` is neither 1, 0, true nor false.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut args = Self::default();
        if text.is_empty() {
            return Ok(args);
        }
        for piece in text.split(';') {
            let (key, value) = pair(piece).ok_or_else(|| {
                invalid(format!(
                    "ARGS: invalid pair {piece:?}: expected KEY=value in CNI_ARGS"
                ))
            })?;
            if key == IGNORE_UNKNOWN {
                args.ignore_unknown = flag(value)
                    .ok_or_else(|| unparsable(key, value, "expected 1, true, 0 or false"))?;
            }
            args.pairs.push((key.to_owned(), value.to_owned()));
        }
        Ok(args)
    }

    /// Reads what can be read and passes over the rest, unknown keys included.
    /// For DEL, which must not fail for arguments that ADD already refused.
    pub fn lenient(text: &str) -> Self {
        let pairs = text.split(';').filter_map(pair);
        let pairs = pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Self {
            pairs,
            ignore_unknown: true,
        }
    }

    /// Checks that there are no keys but these and `IgnoreUnknown`, unless the
    /// latter is true.
    ///
    /// # Errors
    /// [`code::INVALID_ENVIRONMENT`], naming all unknown pairs.
    pub fn known(&self, keys: &[&str]) -> Result<&Self, Error> {
        let is_known = |key: &str| key == IGNORE_UNKNOWN || keys.contains(&key);
        let unknown = self.pairs.iter().filter(|(key, _)| !is_known(key));
        let unknown: Vec<String> = unknown
            .map(|(key, value)| format!("{:?}", format!("{key}={value}")))
            .collect();
        if self.ignore_unknown || unknown.is_empty() {
            return Ok(self);
        }
        Err(
            invalid(format!("ARGS: unknown args [{}]", unknown.join(" "))).with_details(format!(
                "known are {}; IgnoreUnknown=1 in CNI_ARGS permits others",
                keys.join(", ")
            )),
        )
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs
            .iter()
            .rfind(|(known, _)| known == key)
            .map(|(_, value)| value.as_str())
    }

    /// The value of `key`, read by `parse`.
    ///
    /// # Errors
    /// [`code::INVALID_ENVIRONMENT`] with the pair and what `parse` says.
    pub fn get_parsed<T, E: fmt::Display>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        parse(value)
            .map(Some)
            .map_err(|fault| unparsable(key, value, fault))
    }

    /// The pairs, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// The key and value of a piece with exactly one `=`.
fn pair(piece: &str) -> Option<(&str, &str)> {
    piece
        .split_once('=')
        .filter(|(_, value)| !value.contains('='))
}

fn flag(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

fn invalid(text: String) -> Error {
    Error::new(code::INVALID_ENVIRONMENT, text)
}

fn unparsable(key: &str, value: &str, fault: impl fmt::Display) -> Error {
    invalid(format!(
        "ARGS: error parsing value of pair \"{key}={value}\": {fault}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_text_is_no_arguments() {
        assert_eq!(CniArgs::parse("").unwrap().pairs().count(), 0);
    }

    #[test]
    fn a_piece_without_exactly_one_equals_sign_is_an_error() {
        for text in ["IP", "IP=1=2", "IP=1;", ";IP=1", "IP=1;;MAC=2", ";"] {
            let fault = CniArgs::parse(text).unwrap_err();
            assert_eq!(fault.code, code::INVALID_ENVIRONMENT, "{text}");
            assert!(
                fault.msg.starts_with("ARGS: invalid pair \""),
                "{text}: {fault}"
            );
        }
    }

    #[test]
    fn values_and_keys_may_be_empty() {
        let args = CniArgs::parse("IP=;=x").unwrap();
        assert_eq!(args.pairs().collect::<Vec<_>>(), [("IP", ""), ("", "x")]);
    }

    #[test]
    fn of_a_repeated_key_the_last_wins() {
        assert_eq!(
            CniArgs::parse("IP=1;MAC=2;IP=3").unwrap().get("IP"),
            Some("3")
        );
        let last = CniArgs::parse("IgnoreUnknown=1;X=1;IgnoreUnknown=0").unwrap();
        assert!(last.known(&[]).is_err());
    }

    #[test]
    fn keys_are_case_sensitive() {
        let args = CniArgs::parse("mac=1").unwrap();
        assert_eq!(args.get("MAC"), None);
        assert_eq!(
            args.known(&["MAC"]).unwrap_err().msg,
            r#"ARGS: unknown args ["mac=1"]"#
        );
    }

    #[test]
    fn unknown_keys_are_an_error_wherever_ignore_unknown_is_false() {
        let args = CniArgs::parse("A=1;IP=x;B=2").unwrap();
        assert_eq!(
            args.known(&["IP"]).unwrap_err().msg,
            r#"ARGS: unknown args ["A=1" "B=2"]"#
        );
        for text in [
            "A=1;IgnoreUnknown=1",
            "IgnoreUnknown=TRUE;A=1",
            "IgnoreUnknown=true;A=1",
        ] {
            assert!(CniArgs::parse(text).unwrap().known(&[]).is_ok(), "{text}");
        }
        for text in ["A=1;IgnoreUnknown=0", "IgnoreUnknown=False;A=1"] {
            assert!(CniArgs::parse(text).unwrap().known(&[]).is_err(), "{text}");
        }
    }

    #[test]
    fn ignore_unknown_must_be_a_boolean() {
        let fault = CniArgs::parse("IgnoreUnknown=yes").unwrap_err();
        assert!(
            fault
                .msg
                .contains("ARGS: error parsing value of pair \"IgnoreUnknown=yes\"")
        );
    }

    #[test]
    fn a_value_that_does_not_parse_is_named_with_its_pair() {
        let args = CniArgs::parse("IP=10.0.0.1.5").unwrap();
        let fault = args.get_parsed("IP", crate::net::parse_ip).unwrap_err();
        assert!(
            fault
                .msg
                .starts_with(r#"ARGS: error parsing value of pair "IP=10.0.0.1.5": inv"#)
        );
        assert_eq!(
            args.get_parsed("GATEWAY", crate::net::parse_ip).unwrap(),
            None
        );
    }

    #[test]
    fn lenient_keeps_what_it_can_read_and_never_complains() {
        let args = CniArgs::lenient(";IP=1;X;A=1=2;MAC=3;IgnoreUnknown=nonsense;");
        assert_eq!(
            (args.get("IP"), args.get("MAC"), args.get("A")),
            (Some("1"), Some("3"), None)
        );
        assert!(args.known(&[]).is_ok());
    }
}
