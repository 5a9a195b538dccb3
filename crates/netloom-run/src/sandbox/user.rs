//! Who the command runs as, by the pod's own `/etc/passwd` and `/etc/group`.

use std::io::Read;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

use crate::error::{Error, Result};

/// More than any passwd or group of an image.
const LONGEST: u64 = 4 << 20;

/// A user with all that is known about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

impl User {
    /// `USER[:GROUP]`, each a number or a name; empty is root. Numbers need no entry.
    pub(crate) fn find(wanted: &str) -> Result<Self> {
        Self::find_in("/", wanted)
    }

    /// The same by the files of a root file system that is not this process's own.
    pub(crate) fn find_in(root: impl AsRef<Path>, wanted: &str) -> Result<Self> {
        let read = |path| read(root.as_ref(), path);
        resolve(wanted, &read("etc/passwd"), &read("etc/group"))
    }
}

fn resolve(wanted: &str, passwd: &str, group: &str) -> Result<User> {
    let (user, of_group) = wanted.split_once(':').unwrap_or((wanted, ""));
    let user = if user.is_empty() { "0" } else { user };
    let number = user.parse::<u32>().ok().filter(|it| *it != u32::MAX);
    let entry = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|entry| match number {
            Some(number) => field(entry, 2) == Some(number),
            None => entry.first() == Some(&user),
        });
    let Some(uid) = number.or_else(|| field(entry.as_ref()?, 2)) else {
        return Err(Error::new(format!(
            "user {user:?} is not in the pod's /etc/passwd"
        )));
    };
    let own_gid = entry.as_ref().and_then(|entry| field(entry, 3));
    let gid = match of_group {
        "" => own_gid.unwrap_or(0),
        name => self::group(name, group)?,
    };
    let name = entry.as_ref().and_then(|entry| entry.first().copied());
    let home = entry.as_ref().and_then(|entry| entry.get(5).copied());
    Ok(User {
        uid,
        gid,
        groups: match of_group {
            "" => memberships(name, gid, group),
            _ => vec![gid],
        },
        home: home.filter(|it| !it.is_empty()).unwrap_or("/").to_owned(),
    })
}

fn group(name: &str, group: &str) -> Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let mut entries = group
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let found = entries.find(|entry| entry.first() == Some(&name));
    found
        .and_then(|entry| field(&entry, 2))
        .ok_or_else(|| Error::new(format!("group {name:?} is not in the pod's /etc/group")))
}

fn memberships(name: Option<&str>, gid: u32, group: &str) -> Vec<u32> {
    let mut ids = vec![gid];
    let Some(name) = name else { return ids };
    for line in group.lines() {
        let entry: Vec<_> = line.split(':').collect();
        let members = entry.get(3).copied().unwrap_or_default();
        if members.split(',').any(|member| member == name)
            && let Some(id) = field(&entry, 2)
            && !ids.contains(&id)
        {
            ids.push(id);
        }
    }
    ids
}

fn field(entry: &[&str], at: usize) -> Option<u32> {
    entry.get(at)?.parse().ok()
}

/// A file of the pod's, which may be anything: what is no regular file is empty, and keeps nobody waiting.
fn read(root: &Path, path: &str) -> String {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let dir = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(root, dir, Mode::empty())
        .and_then(|root| rustix::fs::openat2(root, path, flags, Mode::empty(), resolve));
    let Ok(file) = opened else {
        return String::new();
    };
    let is_file =
        rustix::fs::fstat(&file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file());
    let mut bytes = Vec::new();
    if is_file {
        let _ = std::fs::File::from(file)
            .take(LONGEST)
            .read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nada:x:1000:100:Ada:/home/ada:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nusers:x:100:\nwheel:x:10:ada,bob\n";

    fn of(wanted: &str) -> Result<User> {
        resolve(wanted, PASSWD, GROUP)
    }

    #[test]
    fn a_name_brings_its_groups_and_its_home() {
        let ada = of("ada").unwrap();
        assert_eq!((ada.uid, ada.gid), (1000, 100));
        assert_eq!(ada.groups, [100, 10]);
        assert_eq!(ada.home, "/home/ada");
        assert_eq!(of("1000").unwrap(), ada);
    }

    #[test]
    fn numbers_need_no_entry_and_names_do() {
        let some = of("65534:7").unwrap();
        assert_eq!((some.uid, some.gid, &*some.home), (65534, 7, "/"));
        assert_eq!(of("").unwrap().home, "/root");
        assert_eq!(of("ada:wheel").unwrap().gid, 10);
        for bad in ["bob", "ada:nobody", "4294967295"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
