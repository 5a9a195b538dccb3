//! The configuration as it is in the JSON.

use crate::wiring::mac::{self, WithMac};
use netloom_spec::{Error, Mac};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// Upstream's keys, unvalidated.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Config {
    pub(super) data_dir: String,
    pub(super) sysctl: BTreeMap<String, String>,
    mac: String,
    promisc: Option<bool>,
    mtu: i64,
    #[serde(rename = "txQLen")]
    tx_queue_len: Option<i64>,
    allmulti: Option<bool>,
    runtime_config: WithMac,
    args: Args,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Args {
    cni: Overrides,
}

/// `args.cni`: a key that is there wins over all other sources, even if it is zero or empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Overrides {
    sysctl: BTreeMap<String, String>,
    mac: Option<String>,
    promisc: Option<bool>,
    mtu: Option<i64>,
    #[serde(rename = "txQLen")]
    tx_queue_len: Option<i64>,
    allmulti: Option<bool>,
}

impl Config {
    /// `args.cni.mac`; without it the sources that all plugins with a key `mac` have.
    pub(super) fn mac(&self, cni_args: &str) -> Result<Option<Mac>, Error> {
        match &self.args.cni.mac {
            None => mac::requested(&self.runtime_config, cni_args, &self.mac),
            Some(own) => {
                mac::of_cni_args(cni_args)?;
                mac::first([own, "", ""])
            }
        }
    }

    pub(super) fn promisc(&self) -> Option<bool> {
        self.args.cni.promisc.or(self.promisc)
    }

    /// In bytes; 0 asks for none.
    pub(super) fn mtu(&self) -> i64 {
        self.args.cni.mtu.unwrap_or(self.mtu)
    }

    pub(super) fn tx_queue_len(&self) -> Option<i64> {
        self.args.cni.tx_queue_len.or(self.tx_queue_len)
    }

    pub(super) fn allmulti(&self) -> Option<bool> {
        self.args.cni.allmulti.or(self.allmulti)
    }

    /// `args.cni.sysctl`. Each of its keys wins over the same key of `sysctl`.
    pub(super) fn overriding_sysctls(&self) -> &BTreeMap<String, String> {
        &self.args.cni.sysctl
    }
}

/// The keys of `sysctl` in the order and as often as they are written, which the decoded
/// configuration no longer knows.
pub(super) fn written_keys(document: &[u8]) -> Vec<String> {
    // What is not a JSON object has been refused before.
    serde_json::from_slice(document).map_or_else(|_| Vec::new(), |Document(keys)| keys)
}

/// A whole configuration, of which only the keys of `sysctl` are read.
struct Document(Vec<String>);

/// The keys of any object; none of what is no object.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Document;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
                let mut keys = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    if key.eq_ignore_ascii_case("sysctl") {
                        keys.extend(map.next_value::<Keys>()?.0);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Document(keys))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object or null")
            }

            fn visit_unit<E>(self) -> Result<Keys, E> {
                Ok(Keys(Vec::new()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        let keys = |text: &str| written_keys(text.as_bytes());
        let text = r#"{"a": {"sysctl": {"x": 1}}, "Sysctl": {"b": "1", "a": "2", "b": "3"}}"#;
        assert_eq!(keys(text), ["b", "a", "b"]);
        for none in ["{}", r#"{"sysctl": null}"#, r#"{"sysctl": {}}"#, "[]", "{"] {
            assert_eq!(keys(none), Vec::<String>::new(), "{none}");
        }
    }
}
