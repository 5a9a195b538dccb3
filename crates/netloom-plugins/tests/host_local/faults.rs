//! host-local killed, and refused by the kernel, at every system call it makes on files.

use crate::pool::Pool;
use netloom_testkit::{Call, Host, Outcome, skip};
use std::collections::{BTreeMap, HashMap};
use std::process::Command;

/// One system call of a run: its name and how many of that name came before it, plus one.
type Point = (String, usize);

fn strace() -> bool {
    let found = Command::new("strace").arg("-V").output().is_ok();
    if !found {
        skip("no strace: install Debian's package strace");
    }
    found
}

/// Runs the call and gives back every system call it makes from the one that first names the
/// directory of reservations.
fn points(pool: &Pool, call: &Call) -> Vec<Point> {
    let log = pool.data_dir().join("strace.log");
    let path = log.to_str().unwrap();
    call.under("strace", &["-f", "-qq", "-o", path])
        .run()
        .succeeds();
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut points = Vec::new();
    let mut begun = false;
    for line in std::fs::read_to_string(&log).unwrap().lines() {
        let rest = line
            .split_once(' ')
            .map_or(line, |(_, rest)| rest.trim_start());
        let Some((name, _)) = rest.split_once('(') else {
            continue;
        };
        if !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            continue;
        }
        let count = counts.entry(name.to_owned()).or_default();
        *count += 1;
        begun |= rest.contains(pool.directory().to_str().unwrap());
        if begun {
            points.push((name.to_owned(), *count));
        }
    }
    std::fs::remove_file(&log).unwrap();
    assert!(points.len() > 10, "strace shows too little: {points:?}");
    points
}

fn inject(call: &Call, (name, when): &Point, what: &str) -> Outcome {
    let inject = format!("inject={name}:{what}:when={when}");
    call.under("strace", &["-f", "-qq", "-o", "/dev/null", "-e", &inject])
        .run()
}

/// Something done before every attempt, so that it is done on other paths.
type Prepare = fn(&Pool);

const SITUATIONS: [(&str, Prepare); 3] = [
    ("with an index", |_| {}),
    ("with an index to be healed", |pool| {
        // One that the index knows is gone, another is new, and a third was made anew.
        drop(pool.call("ADD", "gone").run());
        for address in pool.of("gone") {
            std::fs::remove_file(pool.directory().join(address)).unwrap();
        }
        let two = pool.of("two");
        for address in two {
            std::fs::remove_file(pool.directory().join(&address)).unwrap();
            pool.write(&address, "two\r\neth0");
        }
    }),
    ("without an index", |pool| {
        drop(std::fs::remove_dir_all(pool.data_dir().join(".netloom")));
    }),
];

fn pool_with_neighbours() -> Pool {
    let pool = Pool::dual_stack();
    for id in ["one", "two", "three"] {
        pool.add(id).succeeds();
    }
    pool
}

/// After whatever happened to the attachment `pod`: it can be deleted, another one can be added,
/// and nobody else has lost anything.
#[track_caller]
fn assert_recovers(pool: &Pool, neighbours: &BTreeMap<String, String>, what: &str) {
    for content in pool.reserved().values() {
        assert!(!content.is_empty(), "{what}: a half-written reservation");
    }
    pool.add("next").succeeds();
    assert_eq!(pool.of("next").len(), 2, "{what}");
    pool.del("pod").succeeds_silently();
    assert_eq!(pool.of("pod").len(), 0, "{what}: DEL left a reservation");
    pool.del("next").succeeds_silently();
    assert_eq!(pool.reserved(), *neighbours, "{what}");
    pool.assert_index_is_right();
}

#[test]
fn an_add_killed_at_any_system_call_is_freed_by_del() {
    if !strace() {
        return;
    }
    let pool = pool_with_neighbours();
    let neighbours = pool.reserved();
    let call = pool.call("ADD", "pod");
    let mut tried = 0;
    for (situation, prepare) in SITUATIONS {
        prepare(&pool);
        let points = points(&pool, &call);
        pool.del("pod").succeeds_silently();
        for point in &points {
            prepare(&pool);
            let what = format!("ADD {situation} killed at {point:?}");
            drop(inject(&call, point, "signal=SIGKILL"));
            assert_recovers(&pool, &neighbours, &what);
            tried += 1;
        }
    }
    println!("ADD was killed at {tried} points");
}

#[test]
fn a_del_killed_at_any_system_call_is_completed_by_the_next() {
    if !strace() {
        return;
    }
    let pool = pool_with_neighbours();
    let neighbours = pool.reserved();
    let call = pool.call("DEL", "pod");
    let mut tried = 0;
    for (situation, prepare) in SITUATIONS {
        pool.add("pod").succeeds();
        prepare(&pool);
        for point in points(&pool, &call) {
            pool.add("pod").succeeds();
            prepare(&pool);
            let what = format!("DEL {situation} killed at {point:?}");
            drop(inject(&call, &point, "signal=SIGKILL"));
            assert_recovers(&pool, &neighbours, &what);
            tried += 1;
        }
    }
    println!("DEL was killed at {tried} points");
}

/// What works on files and can fail.
const FALLIBLE: &[&str] = &[
    "open",
    "openat",
    "flock",
    "fstat",
    "newfstatat",
    "statx",
    "read",
    "pread64",
    "write",
    "pwrite64",
    "renameat2",
    "rename",
    "renameat",
    "lseek",
    "ftruncate",
    "unlink",
    "unlinkat",
    "utimensat",
    "getdents64",
    "mkdir",
    "mkdirat",
];

#[test]
fn an_add_that_the_kernel_fails_anywhere_takes_all_or_nothing() {
    if !strace() {
        return;
    }
    let pool = pool_with_neighbours();
    let neighbours = pool.reserved();
    let call = pool.call("ADD", "pod");
    let (mut tried, mut failed) = (0, 0);
    for (situation, prepare) in SITUATIONS {
        prepare(&pool);
        let points = points(&pool, &call);
        pool.del("pod").succeeds_silently();
        for point in points
            .iter()
            .filter(|point| FALLIBLE.contains(&point.0.as_str()))
        {
            for (errno, code) in [("EIO", 5), ("ENOSPC", 11)] {
                prepare(&pool);
                let what = format!("ADD {situation}, {errno} from {point:?}");
                let outcome = inject(&call, point, &format!("error={errno}"));
                let reserved = pool.of("pod").len();
                if outcome.is_success() {
                    assert_eq!(reserved, 2, "{what}: {outcome}");
                } else {
                    assert_eq!(reserved, 0, "{what}: {outcome}");
                    // What the framework does about its own stdin and stdout is not ours to say.
                    if !outcome.stdout.contains("stdout") && !outcome.stdout.is_empty() {
                        outcome.fails_with(code);
                    }
                    failed += 1;
                }
                assert_recovers(&pool, &neighbours, &what);
                tried += 1;
            }
        }
    }
    println!("{tried} system calls of ADD failed, and {failed} of the ADDs");
}

#[test]
fn a_del_that_the_kernel_fails_anywhere_is_completed_by_the_next() {
    if !strace() {
        return;
    }
    let pool = pool_with_neighbours();
    let neighbours = pool.reserved();
    let call = pool.call("DEL", "pod");
    let mut tried = 0;
    for (situation, prepare) in SITUATIONS {
        pool.add("pod").succeeds();
        prepare(&pool);
        let points = points(&pool, &call);
        for point in points
            .iter()
            .filter(|point| FALLIBLE.contains(&point.0.as_str()))
        {
            pool.add("pod").succeeds();
            prepare(&pool);
            let what = format!("DEL {situation}, EIO from {point:?}");
            let outcome = inject(&call, point, "error=EIO");
            if outcome.is_success() {
                // One unreadable file does not fail the call for everybody else, but it is told.
                let told = outcome.stderr.contains("cannot read reservation");
                assert!(pool.of("pod").is_empty() || told, "{what}: {outcome}");
            } else {
                outcome.fails_with(5);
            }
            assert_recovers(&pool, &neighbours, &what);
            tried += 1;
        }
    }
    println!("{tried} system calls of DEL failed");
}

#[test]
fn a_filesystem_without_noreplace_is_served_by_link() {
    if !strace() {
        return;
    }
    let pool = pool_with_neighbours();
    let call = pool.call("ADD", "pod");
    // EXDEV: the directory of reservations is a mount of its own.
    for error in ["EINVAL", "ENOSYS", "EXDEV"] {
        let inject = format!("inject=renameat2:error={error}:when=1");
        call.under("strace", &["-f", "-qq", "-o", "/dev/null", "-e", &inject])
            .run()
            .succeeds();
        assert_eq!(pool.of("pod").len(), 2);
        pool.assert_index_is_right();
        pool.del("pod").succeeds_silently();
    }
    // A leftover draft after a kill between link and unlink is the reservation itself.
    let inject = [
        "inject=renameat2:error=EINVAL",
        "inject=unlinkat,unlink:signal=SIGKILL:when=1",
    ];
    let args = [
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        inject[0],
        "-e",
        inject[1],
    ];
    drop(call.under("strace", &args).run());
    assert_eq!(pool.of("pod").len(), 1);
    pool.add("next").succeeds();
    assert_eq!((pool.of("pod").len(), pool.of("next").len()), (1, 2));
}

#[test]
fn del_needs_no_lock_that_the_disk_has_no_room_for_unless_something_is_reserved() {
    let Some(host) = Host::new() else { return };
    let pool = pool_with_neighbours();
    let data = pool.data_dir().display();
    // Room for the directory, the network's, and then for one file.
    host.sh(&format!(
        "mount -t tmpfs -o nr_inodes=2 tmpfs {data} && mkdir {data}/blue"
    ));
    pool.del("pod").succeeds_silently();
    host.sh(&format!("mount -o remount,nr_inodes=3 {data}"));
    pool.write("10.1.0.2", "pod\r\neth0");
    let error = pool.del("pod").fails_with(11);
    assert!(error.msg.contains("/blue/lock: No space left"), "{error:?}");
    host.sh(&format!("mount -o remount,nr_inodes=100 {data}"));
    pool.del("pod").succeeds_silently();
    assert_eq!(pool.of("pod").len(), 0);
}
