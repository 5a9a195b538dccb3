//! The kernel's settings for the current network namespace.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use netloom_kernel::rtnl::{LinkSettings, Socket};
use netloom_kernel::{Result, sysctl};
use rustix::fs::{Mode, OFlags};

use crate::Kind;
use crate::describe::Told;

const GLOBAL: [&str; 3] = ["net/ipv4", "net/ipv6", "net/core"];
const IPV4: &str = "net/ipv4/conf";
const OF_LINKS: [&str; 2] = [IPV4, "net/ipv6/conf"];

/// The settings of a link that the kernel gives by itself.
const BY_ITSELF: [&str; 2] = ["mtu", "stable_secret"];

/// The settings of IPv6 that netlink does not tell (Linux 6.18).
const UNPACKED: [&str; 3] = [
    "ra_honor_pio_life",
    "ra_honor_pio_pflag",
    "regen_min_advance",
];

/// What the files below a directory say.
type Values = BTreeMap<String, String>;

/// What the files of a link say, by the tree and by what netlink tells of the same settings. A file takes three
/// system calls, a link has ninety, and most links of a host have the same settings.
static KNOWN: Mutex<BTreeMap<(&str, Vec<u8>), Values>> = Mutex::new(BTreeMap::new());

/// How many different settings are remembered.
const MOST: usize = 256;

/// All global settings; of each link those that are not as the namespace's default says.
pub(crate) fn observe() -> Result<Vec<Told>> {
    let mut found = Vec::new();
    for directory in GLOBAL {
        tell(directory, values(directory), &mut found);
    }
    let socket = Socket::open()?;
    let links = socket.list_link_settings()?;
    for tree in OF_LINKS {
        let default = values(&format!("{tree}/default"));
        for link in &links {
            let mut values = of_link(&socket, tree, link);
            values.retain(|name, value| {
                default.get(name) != Some(value) && !BY_ITSELF.contains(&name.as_str())
            });
            tell(&format!("{tree}/{}", link.name), values, &mut found);
        }
        tell(&format!("{tree}/default"), default, &mut found);
        let all = format!("{tree}/all");
        tell(&all, values(&all), &mut found);
    }
    Ok(found)
}

fn of_link(socket: &Socket, tree: &'static str, link: &LinkSettings) -> Values {
    let packed = |link: &LinkSettings| match tree {
        IPV4 => link.ipv4.clone(),
        _ => link.ipv6.clone(),
    };
    let key = (tree, packed(link));
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = format!("{tree}/{}", link.name);
    if let Some(values) = known().get(&key).cloned() {
        return with_unpacked(values, tree, &directory);
    }
    let values = values(&directory);
    // They may have been changed as the files were read.
    let again = socket.list_link_settings().unwrap_or_default();
    let as_before = |now: &LinkSettings| now.name == link.name && packed(now) == key.1;
    if !key.1.is_empty() && again.iter().any(as_before) {
        let mut known = known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, values.clone());
    }
    values
}

fn with_unpacked(mut values: Values, tree: &str, directory: &str) -> Values {
    if tree == IPV4 {
        return values;
    }
    for name in UNPACKED {
        if let Ok(value) = sysctl::get(&format!("{directory}/{name}")) {
            values.insert(name.to_owned(), value.trim_end().to_owned());
        }
    }
    values
}

fn tell(directory: &str, values: Values, found: &mut Vec<Told>) {
    found.extend(values.into_iter().map(|(name, value)| Told {
        kind: Kind::Sysctl,
        name: format!("{directory}/{name}"),
        details: value,
    }));
}

/// What can be read: directories, and values that are write-only or not set, cannot.
fn values(directory: &str) -> Values {
    let mut values = Values::new();
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
