//! The sysctls of the network: the plain ones and the tree of every interface.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use super::{Found, Kind};

const PLAIN: [&str; 3] = ["net/ipv4", "net/ipv6", "net/core"];
const TREES: [&str; 2] = ["net/ipv4/conf", "net/ipv6/conf"];

/// Each directory of values is one fact.
pub(super) fn observe() -> Found {
    let mut found: Found = PLAIN.iter().map(|directory| values(directory)).collect();
    for tree in TREES {
        for interface in names(tree) {
            found.push(values(&format!("{tree}/{interface}")));
        }
    }
    found
}

fn values(directory: &str) -> (Kind, String, Value) {
    let mut values = Map::new();
    for name in names(directory) {
        // Directories, and values that are write-only or not set, cannot be read.
        let path = Path::new("/proc/sys").join(directory).join(&name);
        if let Ok(value) = fs::read_to_string(path) {
            values.insert(name, Value::String(value.trim_end().to_owned()));
        }
    }
    (Kind::Sysctl, directory.to_owned(), Value::Object(values))
}

fn names(directory: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(Path::new("/proc/sys").join(directory)) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect()
}
