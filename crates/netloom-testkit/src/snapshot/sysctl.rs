//! The sysctls of the network: the plain ones and the tree of every interface.

use std::fs;
use std::path::Path;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{Mode, OFlags};
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
    let path = Path::new("/proc/sys").join(directory);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if let Ok(opened) = rustix::fs::open(path, flags, Mode::empty()) {
        for name in names(directory) {
            // Directories, and values that are write-only or not set, cannot be read.
            if let Some(value) = value(opened.as_fd(), &name) {
                values.insert(name, Value::String(value));
            }
        }
    }
    (Kind::Sysctl, directory.to_owned(), Value::Object(values))
}

/// A snapshot reads some thousand of them, so with the fewest system calls.
fn value(directory: BorrowedFd<'_>, name: &str) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::openat(directory, name, flags, Mode::empty()).ok()?;
    let mut buffer = [0; 4096];
    let length = rustix::io::read(&file, &mut buffer[..]).ok()?;
    let text = String::from_utf8_lossy(&buffer[..length]);
    Some(text.trim_end().to_owned())
}

fn names(directory: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(Path::new("/proc/sys").join(directory)) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect()
}
