//! The kernel's settings for the current network namespace.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::Kind;
use crate::describe::Told;

const GLOBAL: [&str; 3] = ["net/ipv4", "net/ipv6", "net/core"];
const OF_LINKS: [&str; 2] = ["net/ipv4/conf", "net/ipv6/conf"];

/// The settings of a link that the kernel gives by itself.
const BY_ITSELF: [&str; 2] = ["mtu", "stable_secret"];

/// All global settings; of each link those that are not as the namespace's default says.
pub(crate) fn observe() -> Vec<Told> {
    let mut found = Vec::new();
    for directory in GLOBAL {
        tell(directory, values(directory), &mut found);
    }
    for tree in OF_LINKS {
        let default = values(&format!("{tree}/default"));
        for link in names(tree) {
            let directory = format!("{tree}/{link}");
            let mut values = values(&directory);
            if link != "default" && link != "all" {
                values.retain(|name, value| {
                    default.get(name) != Some(value) && !BY_ITSELF.contains(&name.as_str())
                });
            }
            tell(&directory, values, &mut found);
        }
    }
    found
}

fn tell(directory: &str, values: BTreeMap<String, String>, found: &mut Vec<Told>) {
    found.extend(values.into_iter().map(|(name, value)| Told {
        kind: Kind::Sysctl,
        name: format!("{directory}/{name}"),
        details: value,
    }));
}

/// What can be read: directories, and values that are write-only or not set, cannot.
fn values(directory: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let path = Path::new("/proc/sys").join(directory);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(opened) = rustix::fs::open(path, flags, Mode::empty()) else {
        return values;
    };
    for name in names(directory) {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mut buffer = [0; 4096];
        let read = rustix::fs::openat(&opened, &name, flags, Mode::empty())
            .and_then(|file| rustix::io::read(&file, &mut buffer[..]));
        if let Ok(length) = read {
            let text = String::from_utf8_lossy(&buffer[..length]);
            values.insert(name, text.trim_end().to_owned());
        }
    }
    values
}

fn names(directory: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(Path::new("/proc/sys").join(directory)) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect()
}
