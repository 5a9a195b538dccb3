//! Which users and groups the user's own host has.

use std::fs;
use std::process::{Command, Stdio};

use crate::error::{Doing, Result};

/// Maps the user to root, and what `/etc/subuid` and `/etc/subgid` give to the ids from 1 on, where
/// newuidmap(1) is installed. Without it, root is the only one there is.
pub(super) fn map(pid: u32) -> Result<()> {
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    let name = name_of(uid, &fs::read_to_string("/etc/passwd").unwrap_or_default());
    let range = |file| {
        let text = fs::read_to_string(file).unwrap_or_default();
        range_of(&text, &name, uid)
    };
    if let (Some(users), Some(groups)) = (range("/etc/subuid"), range("/etc/subgid"))
        && mapped_by("newuidmap", pid, uid, users)
        && mapped_by("newgidmap", pid, gid, groups)
    {
        return Ok(());
    }
    let write = |file: &str, text: String| {
        let path = format!("/proc/{pid}/{file}");
        fs::write(&path, text).doing(|| format!("write {path:?}"))
    };
    // One of the two may have been written already.
    let is_mapped = |file| fs::read(format!("/proc/{pid}/{file}")).is_ok_and(|it| !it.is_empty());
    if !is_mapped("uid_map") {
        write("uid_map", format!("0 {uid} 1"))?;
    }
    // Without it the kernel lets nobody map a group.
    write("setgroups", "deny".to_owned())?;
    write("gid_map", format!("0 {gid} 1"))
}

fn mapped_by(program: &str, pid: u32, own: u32, (first, count): (u32, u32)) -> bool {
    let mut command = Command::new(program);
    command.arg(pid.to_string());
    let numbers = [0, own, 1, 1, first, count];
    command.args(numbers.map(|it| it.to_string()));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.stderr(Stdio::null()).status();
    status.is_ok_and(|it| it.success())
}

fn name_of(uid: u32, passwd: &str) -> String {
    let mut entries = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let found = entries.find(|entry| entry.get(2).is_some_and(|it| *it == uid.to_string()));
    found.map_or_else(String::new, |entry| entry[0].to_owned())
}

/// The first range of a user, by its name or number.
fn range_of(text: &str, name: &str, uid: u32) -> Option<(u32, u32)> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let whose = fields.next()?;
        let is_own = whose == uid.to_string() || (!name.is_empty() && whose == name);
        let first = fields.next()?.trim().parse().ok()?;
        let count = fields.next()?.trim().parse().ok()?;
        (is_own && count > 0).then_some((first, count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_that_of_the_name_or_the_number() {
        let passwd = "root:x:0:0::/:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!(name_of(1000, passwd), "ada");
        assert_eq!(name_of(7, passwd), "");
        let subuid = "bob:1:2\nada:100000:65536\n7:5:6\nbad:x:y\n";
        assert_eq!(range_of(subuid, "ada", 1000), Some((100_000, 65536)));
        assert_eq!(range_of(subuid, "", 7), Some((5, 6)));
        assert_eq!(range_of(subuid, "", 8), None);
    }
}
