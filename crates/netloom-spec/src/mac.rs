//! Hardware addresses in text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, code};

/// An Ethernet hardware address.
///
/// Read as `00:00:5e:00:53:01`, `00-00-5e-00-53-01` or `0000.5e00.5301`, in any
/// case; written as the first, in lower case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl FromStr for Mac {
    type Err = Error;

    /// # Errors
    /// [`code::INVALID_CONFIG`] for any other text.
    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text.as_bytes()).ok_or_else(|| {
            Error::new(
                code::INVALID_CONFIG,
                format!(
                    "address {text}: invalid MAC address, expected six bytes such as \
                     00:00:5e:00:53:01"
                ),
            )
        })
    }
}

fn parse(text: &[u8]) -> Option<Mac> {
    let (digits, separators): (usize, &[u8]) = match text.len() {
        17 => (2, b":-"),
        14 => (4, b"."),
        _ => return None,
    };
    let separator = text[digits];
    if !separators.contains(&separator) {
        return None;
    }
    let mut mac = [0; 6];
    let mut bytes = mac.iter_mut();
    for group in text.split(|byte| *byte == separator) {
        if group.len() != digits {
            return None;
        }
        for pair in group.chunks_exact(2) {
            *bytes.next()? = hex(pair[0])? << 4 | hex(pair[1])?;
        }
    }
    Some(Mac(mac))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl From<[u8; 6]> for Mac {
    fn from(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_spellings_are_one_address() {
        let mac = Mac([0, 0, 0x5e, 0, 0x53, 0xaf]);
        for text in ["00:00:5e:00:53:af", "00-00-5E-00-53-AF", "0000.5e00.53Af"] {
            assert_eq!(text.parse::<Mac>().unwrap(), mac, "{text}");
        }
        assert_eq!(mac.to_string(), "00:00:5e:00:53:af");
    }

    #[test]
    fn anything_else_is_no_address() {
        for text in [
            "",
            "00:00:5e:00:53",
            "00:00:5e:00:53:01:02:03",
            "00:00:5e-00:53:01",
            "0:00:5e:00:53:001",
            "00005e005301",
            "00.00.5e.00.53.01",
            "0000:5e00:5301",
            "0000-5e00.5301",
            "00:00:5e:00:53:0g",
            "00:00:5e:00:53:é",
            ":::::::::::::::::",
            "+0:00:5e:00:53:01",
        ] {
            let fault = text.parse::<Mac>().unwrap_err();
            let start = format!("address {text}: invalid MAC address");
            assert!(fault.msg.starts_with(&start), "{fault}");
        }
    }

    #[test]
    fn it_is_text_in_json() {
        let mac: Mac = serde_json::from_str("\"00-00-5e-00-53-01\"").unwrap();
        assert_eq!(
            serde_json::to_string(&mac).unwrap(),
            "\"00:00:5e:00:53:01\""
        );
    }
}
