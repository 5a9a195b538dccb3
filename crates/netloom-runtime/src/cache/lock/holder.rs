//! Who holds a lock, as the kernel tells it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{major, minor};

/// `process 123 (netloom) holds it`, or what can be said without that.
pub(super) fn of(path: &Path) -> String {
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let file = fs::metadata(path).map(|file| {
        let (major, minor) = (major(file.dev()), minor(file.dev()));
        format!("{major:02x}:{minor:02x}:{}", file.ino())
    });
    let pids = file.map(|file| holders(&locks, &file)).unwrap_or_default();
    match pids.as_slice() {
        [] => "another process holds it".to_owned(),
        [pid] => format!("process {} holds it", named(*pid)),
        all => {
            let all: Vec<_> = all.iter().map(|pid| named(*pid)).collect();
            format!("processes {} hold it", all.join(", "))
        }
    }
}

/// The processes with a lock of flock(2) on the file (`major:minor:inode`), in lines of /proc/locks (proc_locks(5)) such as
/// `1: FLOCK  ADVISORY  WRITE 123 fe:00:4567 0 EOF`. Lines of who waits have `->` behind the number.
fn holders(locks: &str, file: &str) -> Vec<u32> {
    let mut pids: Vec<u32> = locks
        .lines()
        .filter_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            match words.as_slice() {
                [_, "FLOCK", _, _, pid, at, ..] if *at == file => pid.parse().ok(),
                _ => None,
            }
        })
        .collect();
    pids.dedup();
    pids
}

fn named(pid: u32) -> String {
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("{pid} ({})", name.trim_end().escape_debug()),
        Err(_) => format!("{pid} (ended)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_told_from_those_who_wait_and_from_other_files() {
        let locks = "1: FLOCK  ADVISORY  WRITE 123 fe:00:4567 0 EOF\n\
                     1: -> FLOCK  ADVISORY  READ 124 fe:00:4567 0 EOF\n\
                     2: POSIX  ADVISORY  WRITE 125 fe:00:4567 0 EOF\n\
                     3: FLOCK  ADVISORY  READ 126 fe:00:45678 0 EOF\n\
                     4: FLOCK  ADVISORY  READ 127 fe:01:4567 0 EOF\n";
        assert_eq!(holders(locks, "fe:00:4567"), [123]);
    }
}
