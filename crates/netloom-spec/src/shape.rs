//! The three shapes a result has had on the wire, and the ways between them
//! and [`AddResult`].

mod read;
mod write;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::error::{Error, code};
use crate::result::AddResult;
use crate::version::{Shape, Version};

use read::read;

/// Every key a result has in any version. None of them is ever an unknown key
/// to keep: it would come back as something else in another version.
const RESULT_KEYS: &[&str] = &[
    "cniVersion",
    "interfaces",
    "ips",
    "routes",
    "dns",
    "ip4",
    "ip6",
];
const INTERFACE_KEYS: &[&str] = &["name", "mac", "mtu", "sandbox", "socketPath", "pciID"];
const IP_KEYS: &[&str] = &["version", "interface", "address", "gateway", "ip", "routes"];
const ROUTE_KEYS: &[&str] = &["dst", "gw", "mtu", "advmss", "priority", "table", "scope"];

fn is_one_of(key: &str, keys: &[&str]) -> bool {
    keys.iter().any(|known| known.eq_ignore_ascii_case(key))
}

/// In the shape of its own version ([`AddResult::cni_version`]).
impl Serialize for AddResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self
            .to_value(self.cni_version)
            .map_err(<S::Error as serde::ser::Error>::custom)?;
        value.serialize(serializer)
    }
}

/// In the shape of the version that it says; 0.1.0 if it says none.
impl<'de> Deserialize<'de> for AddResult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let version = value["cniVersion"].as_str().unwrap_or_default();
        let version = version
            .parse()
            .map_err(<D::Error as serde::de::Error>::custom)?;
        Self::from_value(&value, version).map_err(<D::Error as serde::de::Error>::custom)
    }
}

impl AddResult {
    /// Reads a result that should be in the shape of `expected`.
    ///
    /// The result's own `cniVersion` must be of the same family: 0.1.0 and
    /// 0.2.0 (where it may be missing), 0.3.0 to 0.4.0, or 1.0.0 and later.
    ///
    /// # Errors
    /// [`DECODING`](crate::code::DECODING) for broken JSON, another family, or
    /// a value of the wrong JSON type,
    /// [`INVALID_CONFIG`](crate::code::INVALID_CONFIG) for one that is not valid.
    pub fn parse(bytes: &[u8], expected: Version) -> Result<Self, Error> {
        Self::from_value(&crate::decode::parse(bytes)?, expected)
    }

    /// As [`AddResult::parse`], of JSON already read.
    ///
    /// # Errors
    /// As [`AddResult::parse`].
    pub fn from_value(value: &Value, expected: Version) -> Result<Self, Error> {
        read(value, expected)
    }

    /// The result in the shape of `version`, as JSON to put somewhere.
    ///
    /// # Errors
    /// [`INVALID_CONFIG`](crate::code::INVALID_CONFIG) if the shape cannot hold
    /// it: 0.1.0 and 0.2.0 need an address.
    pub fn to_value(&self, version: Version) -> Result<Value, Error> {
        to_value(self, version)
    }

    /// The result in the shape of `version`, as a plugin prints it: four-space
    /// indent, no newline at the end.
    ///
    /// What the shape does not have is left out: `interfaces` and all but the
    /// first address of each family in 0.1.0 and 0.2.0, an interface's `mtu`,
    /// `socketPath` and `pciID` before 1.0.0.
    ///
    /// # Errors
    /// As [`AddResult::to_value`].
    pub fn to_json(&self, version: Version) -> Result<String, Error> {
        to_json(self, version)
    }
}

/// The result in the shape of `version`.
fn to_value(result: &AddResult, version: Version) -> Result<Value, Error> {
    let written = match version.shape() {
        Shape::PerFamily => serde_json::to_value(write::PerFamily::of(result, version)?),
        Shape::VersionedIps => serde_json::to_value(write::VersionedIps::of(result, version)),
        Shape::Current => serde_json::to_value(write::Current::of(result, version)),
    };
    written.map_err(|fault| Error::new(code::INTERNAL, format!("cannot write result: {fault}")))
}

/// The result in the shape of `version`, printed. Shapes before 1.0.0 have the
/// order of their specification, later ones are sorted by key.
fn to_json(result: &AddResult, version: Version) -> Result<String, Error> {
    Ok(match version.shape() {
        Shape::PerFamily => crate::decode::pretty(&write::PerFamily::of(result, version)?),
        Shape::VersionedIps => crate::decode::pretty(&write::VersionedIps::of(result, version)),
        Shape::Current => crate::decode::pretty(&to_value(result, version)?),
    })
}

#[cfg(test)]
mod tests;
