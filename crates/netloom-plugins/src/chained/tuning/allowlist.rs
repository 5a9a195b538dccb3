//! The administrator's list of sysctls that a configuration may set.

#[cfg(fuzzing)]
pub(crate) mod fuzzing;

use super::plan::Sysctl;
use crate::wiring::setup_error::{invalid, one_line};
use crate::wiring::state_file;
use netloom_spec::{Error, code};
use regex_lite::Regex;
use std::io::ErrorKind;
use std::path::Path;
use std::{fmt, fs};

const PATH: &str = "/etc/cni/tuning/allowlist.conf";

/// One regular expression per line, each of which may match anywhere in a key as it is spelled.
/// Without a file everything is allowed; with one that cannot be read or understood, nothing.
#[derive(Debug)]
pub(super) struct Allowlist(Option<Vec<Regex>>);

impl Allowlist {
    /// Reads the list of this host.
    pub(super) fn read() -> Result<Self, Error> {
        let text = match state_file::read_configuration_text(Path::new(PATH)) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return match fs::symlink_metadata(PATH) {
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self(None)),
                    // A link to nothing was meant to be a list.
                    _ => Err(unusable(&error)),
                };
            }
            Err(error) => return Err(unusable(&error)),
        };
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(|line| Regex::new(line).map_err(|error| unusable(&format!("{line:?}: {error}"))));
        Ok(Self(Some(lines.collect::<Result<_, _>>()?)))
    }

    /// Refuses the first that is not on the list.
    pub(super) fn permit(&self, sysctls: &[Sysctl]) -> Result<(), Error> {
        let Some(list) = &self.0 else { return Ok(()) };
        let is_permitted = |key: &str| list.iter().any(|pattern| pattern.is_match(key));
        let refused = sysctls
            .iter()
            .find(|sysctl| !is_permitted(&sysctl.key.spelled));
        match refused {
            None => Ok(()),
            Some(Sysctl { key, .. }) => {
                let allowed: Vec<&str> = list.iter().map(Regex::as_str).collect();
                Err(invalid(format!(
                    "Sysctl {} is not allowed. Only the following sysctls are allowed: [{}] ({PATH})",
                    key.spelled,
                    allowed.join(" ")
                )))
            }
        }
    }
}

fn unusable(cause: &dyn fmt::Display) -> Error {
    let cause = one_line(&cause.to_string());
    let text = format!("no sysctl is allowed while {PATH} cannot be used: {cause}");
    Error::new(code::INTERNAL, text)
}

#[cfg(test)]
mod tests {
    use super::super::key::Key;
    use super::*;

    fn refusal(list: &str, key: &str) -> Option<String> {
        let sysctl = Sysctl {
            key: Key::parse(key, "eth0").unwrap(),
            value: "1".into(),
        };
        let list = Allowlist::parse(list).unwrap();
        list.permit(&[sysctl]).err().map(|error| error.msg)
    }

    #[test]
    fn a_line_may_match_anywhere_in_a_key() {
        let list = "\n  net\\.core\n^net.ipv4.conf.IFNAME.[a-z_]*$\n";
        assert_eq!(refusal(list, "net.core.somaxconn"), None);
        assert_eq!(refusal(list, "net.ipv4.conf.IFNAME.arp_filter"), None);
        let refused = refusal(list, "net.ipv4.conf.eth0.arp_filter").unwrap();
        assert!(
            refused.starts_with(
                "Sysctl net.ipv4.conf.eth0.arp_filter is not allowed. \
                 Only the following sysctls are allowed: [net\\.core ^net.ipv4"
            ),
            "{refused}"
        );
    }

    #[test]
    fn an_empty_list_allows_nothing_and_a_broken_one_is_an_error() {
        assert!(refusal("", "net.core.somaxconn").is_some());
        let error = Allowlist::parse("net.core\nnet.(").unwrap_err();
        assert!(error.msg.contains("\"net.(\""), "{error}");
    }
}
