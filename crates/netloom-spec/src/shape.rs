//! The three shapes a result has had on the wire, and the ways between them
//! and [`AddResult`].

mod read;
mod write;

use serde_json::Value;

use crate::error::{Error, code};
use crate::result::AddResult;
use crate::version::{Shape, Version};

pub(crate) use read::read;

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

/// The result in the shape of `version`.
pub(crate) fn to_value(result: &AddResult, version: Version) -> Result<Value, Error> {
    let written = match version.shape() {
        Shape::PerFamily => serde_json::to_value(write::PerFamily::of(result, version)?),
        Shape::VersionedIps => serde_json::to_value(write::VersionedIps::of(result, version)),
        Shape::Current => serde_json::to_value(write::Current::of(result, version)),
    };
    written.map_err(|fault| Error::new(code::INTERNAL, format!("cannot write result: {fault}")))
}

/// The result in the shape of `version`, printed. Shapes before 1.0.0 have the
/// order of their specification, later ones are sorted by key.
pub(crate) fn to_json(result: &AddResult, version: Version) -> Result<String, Error> {
    Ok(match version.shape() {
        Shape::PerFamily => crate::decode::pretty(&write::PerFamily::of(result, version)?),
        Shape::VersionedIps => crate::decode::pretty(&write::VersionedIps::of(result, version)),
        Shape::Current => crate::decode::pretty(&to_value(result, version)?),
    })
}

#[cfg(test)]
mod tests;
