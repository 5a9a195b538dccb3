//! Who holds a lock, as the kernel tells it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// `process 123 (netloom) holds it`, or what can be said without that.
pub(super) fn of(path: &Path) -> String {
    let inode = fs::metadata(path).map(|file| file.ino());
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let pids = inode
        .map(|inode| holders(&locks, inode))
        .unwrap_or_default();
    match pids.as_slice() {
        [] => "another process holds it".to_owned(),
        [pid] => format!("process {} holds it", named(*pid)),
        all => {
            let all: Vec<_> = all.iter().map(|pid| named(*pid)).collect();
            format!("processes {} hold it", all.join(", "))
        }
    }
}

/// The processes with a lock of flock(2) on the inode, in lines of /proc/locks (proc_locks(5)) such as
/// `1: FLOCK  ADVISORY  WRITE 123 fe:00:4567 0 EOF`. Lines of who waits have `->` behind the number.
fn holders(locks: &str, inode: u64) -> Vec<u32> {
    let mut pids: Vec<u32> = locks
        .lines()
        .filter_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let [_, "FLOCK", _, _, pid, file, ..] = words.as_slice() else {
                return None;
            };
            let (_, number) = file.rsplit_once(':')?;
            (number.parse() == Ok(inode)).then(|| pid.parse().ok())?
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
                     3: FLOCK  ADVISORY  READ 126 fe:00:45678 0 EOF\n";
        assert_eq!(holders(locks, 4567), [123]);
    }
}
