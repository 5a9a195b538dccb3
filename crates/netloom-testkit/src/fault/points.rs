//! Which system calls are worth a fault.

use std::collections::BTreeSet;
use std::fmt;

use crate::trace::SystemCall;

/// One system call of a program at which a fault can be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The name of the system call.
    pub name: String,
    /// Which one of this name it is, counted from 1 for each thread, as strace does.
    pub occurrence: usize,
    /// Its arguments and result in the run without faults.
    pub text: String,
    /// Whether it comes after start-up, so that the program can answer for its failure.
    pub may_fail: bool,
    /// Whether it may change something, or is the end: being killed elsewhere is the same as
    /// being killed at the next one of these.
    pub may_change: bool,
}

impl Point {
    /// An error that this system call may give on a machine in trouble.
    #[must_use]
    pub fn likely_errno(&self) -> &'static str {
        match self.name.as_str() {
            "sendto" | "sendmsg" | "sendmmsg" | "recvmsg" | "recvfrom" | "recvmmsg" => "ENOBUFS",
            "openat" | "open" if !self.creates() => "EMFILE",
            "socket" | "pipe2" | "accept4" => "EMFILE",
            "setns" | "unshare" | "mount" | "umount2" | "bind" | "connect" => "EPERM",
            "flock" => "ENOLCK",
            "clone" | "clone3" | "fork" | "vfork" => "EAGAIN",
            "poll" | "ppoll" | "setsockopt" | "getsockname" | "getsockopt" => "ENOMEM",
            "read" | "pread64" | "readv" | "getdents64" | "ioctl" => "EIO",
            "fstat" | "newfstatat" | "statx" | "statfs" | "fstatfs" | "readlink" | "readlinkat" => {
                "EACCES"
            }
            _ => "ENOSPC",
        }
    }

    /// Whether it needs room on the disk that has one of these directories.
    pub(super) fn takes_room(&self, directories: &[String]) -> bool {
        let there = directories.iter().any(|it| self.text.contains(it));
        let opens = self.name.starts_with("open");
        there && (!opens || self.text.contains("O_CREAT") || self.text.contains("O_TMPFILE"))
    }

    fn creates(&self) -> bool {
        ["O_CREAT", "O_WRONLY", "O_RDWR", "O_TRUNC"]
            .iter()
            .any(|flag| self.text.contains(flag))
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.text.chars().take(200).collect();
        write!(
            f,
            "{} number {}: {}({text}",
            self.name, self.occurrence, self.name
        )
    }
}

/// System calls that change something, or that tell another process something.
const CHANGING: [&str; 41] = [
    "sendto",
    "sendmsg",
    "sendmmsg",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "open",
    "openat",
    "creat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
    "symlink",
    "symlinkat",
    "link",
    "linkat",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "utimensat",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "sendfile",
    "copy_file_range",
    "setns",
    "unshare",
    "mount",
    "umount2",
    "ioctl",
    "flock",
    "exit_group",
];
/// System calls that only ask, but whose failure a program has to answer for.
const ASKING: [&str; 31] = [
    "recvmsg",
    "recvfrom",
    "recvmmsg",
    "read",
    "readv",
    "pread64",
    "socket",
    "bind",
    "connect",
    "setsockopt",
    "getsockopt",
    "getsockname",
    "poll",
    "ppoll",
    "fstat",
    "newfstatat",
    "statx",
    "statfs",
    "fstatfs",
    "readlink",
    "readlinkat",
    "getdents64",
    "pipe2",
    "clone",
    "clone3",
    "fork",
    "vfork",
    "accept4",
    "execve",
    "getrandom",
    "memfd_create",
];

/// System calls that a full disk fails.
const FILLING: &str = "write writev pwrite64 pwritev open openat creat rename renameat renameat2 \
     mkdir mkdirat symlink symlinkat link linkat ftruncate fallocate fsync fdatasync setxattr \
     fsetxattr";

/// The points of a traced run at which these directories may be found full, in order.
pub(super) fn of_disk(calls: &[SystemCall], directories: &[String]) -> Vec<Point> {
    let points = calls.iter().map(|call| Point {
        name: call.name.clone(),
        occurrence: call.occurrence,
        text: call.text.clone(),
        may_fail: true,
        may_change: true,
    });
    let filling = points.filter(|point| FILLING.split(' ').any(|name| name == point.name));
    filling
        .filter(|point| point.takes_room(directories))
        .collect()
}

/// The points of a traced run, each once, in order.
pub(super) fn of(calls: &[SystemCall]) -> Vec<Point> {
    let started = started(calls);
    let mut known = BTreeSet::new();
    let mut points = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let changing = CHANGING.contains(&call.name.as_str());
        if !changing && !ASKING.contains(&call.name.as_str()) || call.occurrence == 0 {
            continue;
        }
        if !known.insert((call.name.clone(), call.occurrence)) {
            continue;
        }
        let mut point = Point {
            name: call.name.clone(),
            occurrence: call.occurrence,
            text: call.text.clone(),
            may_fail: index >= started && call.name != "exit_group" && call.name != "getrandom",
            may_change: changing,
        };
        if call.name.starts_with("open") {
            point.may_change = point.creates();
        }
        points.push(point);
    }
    points
}

/// The first system call after start-up: a plugin begins by reading its stdin; before that work
/// the loader, the C library and the language's run time. A program that reads no stdin begins
/// with its first change.
fn started(calls: &[SystemCall]) -> usize {
    let reads = |call: &SystemCall| call.name.starts_with("read") && call.text.starts_with("0,");
    let changes = |call: &SystemCall| {
        CHANGING.contains(&call.name.as_str()) && !call.text.contains("O_RDONLY")
    };
    let first_read = calls.iter().position(reads);
    first_read
        .or_else(|| calls.iter().position(changes))
        .unwrap_or(calls.len())
}
