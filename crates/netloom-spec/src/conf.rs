//! One plugin's configuration, and the request made from it (CNI spec 1.1.0, sections 1 and 3).

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::decode;
use crate::error::Error;
use crate::result::{AddResult, Dns};
use crate::version::Version;

/// What identifies an attachment within a network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attachment {
    /// The container's id.
    #[serde(rename = "containerID")]
    pub container_id: String,
    /// The name of the interface in the container.
    #[serde(rename = "ifname")]
    pub if_name: String,
}

/// One plugin's configuration: a plugin object of a list, a request on a
/// plugin's stdin, or a file of before 1.0.0.
///
/// The object is kept whole, keys nobody knows included. The keys every plugin
/// shares are checked to be of the right JSON type when it is read; what they
/// say is for the reader to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginConf {
    raw: Map<String, Value>,
}

/// The keys every plugin shares.
#[derive(Deserialize)]
#[expect(dead_code, reason = "decoded for the check alone")]
struct Shared {
    #[serde(default, rename = "cniVersion")]
    cni_version: String,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "type")]
    plugin_type: String,
    #[serde(default)]
    capabilities: BTreeMap<String, bool>,
    #[serde(default)]
    ipam: Ipam,
    #[serde(default)]
    dns: Dns,
}

#[derive(Default, Deserialize)]
#[expect(dead_code, reason = "decoded for the check alone")]
struct Ipam {
    #[serde(default, rename = "type")]
    plugin_type: String,
}

impl PluginConf {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`DECODING`](crate::code::DECODING) if `bytes` are not one JSON object or
    /// a key every plugin shares has a value of the wrong type.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let raw = decode::parse_object(bytes)
            .map_err(|fault| fault.context("error parsing configuration"))?;
        Self::from_map(raw)
    }

    /// As [`PluginConf::parse`], of an object already read.
    ///
    /// # Errors
    /// As [`PluginConf::parse`].
    pub fn from_map(raw: Map<String, Value>) -> Result<Self, Error> {
        decode::from_object::<Shared>(&raw)
            .map_err(|fault| fault.context("error parsing configuration"))?;
        Ok(Self { raw })
    }

    /// The whole object.
    pub fn raw(&self) -> &Map<String, Value> {
        &self.raw
    }

    /// The value of `key`, whatever its case; `None` if absent or `null`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        decode::get(&self.raw, key)
    }

    fn text(&self, key: &str) -> &str {
        self.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// The network's name, not checked; empty if absent.
    pub fn name(&self) -> &str {
        self.text("name")
    }

    /// `cniVersion` as it is spelled; empty if absent.
    pub fn cni_version(&self) -> &str {
        self.text("cniVersion")
    }

    /// The protocol version; 0.1.0 if absent.
    ///
    /// # Errors
    /// [`INCOMPATIBLE_VERSION`](crate::code::INCOMPATIBLE_VERSION) if it is not
    /// a known one.
    pub fn version(&self) -> Result<Version, Error> {
        self.cni_version().parse()
    }

    /// The plugin's name (`type`), not checked; empty if absent.
    pub fn plugin_type(&self) -> &str {
        self.text("type")
    }

    /// The IPAM plugin's name (`ipam.type`), not checked; `None` if absent or empty.
    pub fn ipam_type(&self) -> Option<&str> {
        let ipam = self.get("ipam")?.as_object()?;
        decode::get(ipam, "type")?
            .as_str()
            .filter(|name| !name.is_empty())
    }

    /// The capabilities the configuration declares, and whether each is wanted.
    pub fn capabilities(&self) -> BTreeMap<String, bool> {
        self.get("capabilities")
            .and_then(|value| decode::from_value(value).ok())
            .unwrap_or_default()
    }

    /// The well-known key `dns`; empty if absent.
    pub fn dns(&self) -> Dns {
        self.get("dns")
            .and_then(|value| decode::from_value(value).ok())
            .unwrap_or_default()
    }

    /// The result of the plugins before this one, or of the whole ADD.
    ///
    /// One without `cniVersion` is taken to be in the version of the
    /// configuration, one of another family is refused.
    ///
    /// # Errors
    /// As [`PluginConf::version`] and [`AddResult::parse`].
    pub fn prev_result(&self) -> Result<Option<AddResult>, Error> {
        let Some(value) = self.get("prevResult") else {
            return Ok(None);
        };
        let version = self.version()?;
        let filled = match value {
            Value::Object(object) if !has_version(object) => {
                let mut object = object.clone();
                object.insert("cniVersion".to_owned(), version.as_str().into());
                &Value::Object(object)
            }
            _ => value,
        };
        AddResult::from_value(filled, version)
            .map(Some)
            .map_err(|fault| fault.context("could not parse prevResult"))
    }

    /// The attachments that GC must spare (`cni.dev/valid-attachments`); `None`
    /// if the runtime did not say.
    ///
    /// # Errors
    /// [`DECODING`](crate::code::DECODING) or
    /// [`INVALID_CONFIG`](crate::code::INVALID_CONFIG) if they are not a list of
    /// attachments.
    pub fn valid_attachments(&self) -> Result<Option<Vec<Attachment>>, Error> {
        /// Early runtimes with GC wrote only the second.
        const KEYS: [&str; 2] = ["cni.dev/valid-attachments", "cni.dev/attachments"];
        let Some((key, value)) = KEYS.iter().find_map(|key| decode::find(&self.raw, key)) else {
            return Ok(None);
        };
        decode::from_value(value)
            .map(Some)
            .map_err(|fault| fault.context(format_args!("{key:?}")))
    }

    /// Sets `key`, in place of every key that differs only in case.
    pub fn set(&mut self, key: impl Into<String>, value: Value) {
        let key = key.into();
        self.remove(&key);
        self.raw.insert(key, value);
    }

    /// Removes `key` and every key that differs only in case.
    pub fn remove(&mut self, key: &str) {
        self.raw
            .retain(|spelled, _| !spelled.eq_ignore_ascii_case(key));
    }

    /// The object as compact JSON, sorted by key.
    pub fn to_bytes(&self) -> Vec<u8> {
        decode::compact(&self.raw).into_bytes()
    }

    /// Reads a plugin's own type from the object, by the rules of [`decode`].
    ///
    /// # Errors
    /// [`DECODING`](crate::code::DECODING) or
    /// [`INVALID_CONFIG`](crate::code::INVALID_CONFIG), naming the path to the
    /// value.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        decode::from_object(&self.raw)
    }
}

fn has_version(result: &Map<String, Value>) -> bool {
    decode::get(result, "cniVersion").is_some_and(|version| version.as_str() != Some(""))
}
