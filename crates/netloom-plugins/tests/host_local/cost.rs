//! What an operation costs must not depend on how many reservations there are.

use crate::pool::Pool;
use netloom_testkit::{Call, skip};
use std::collections::BTreeMap;
use std::fs::File;
use std::process::Command;
use std::time::{Duration, SystemTime};

/// The system calls of one run, by name.
fn system_calls(pool: &Pool, call: &Call) -> BTreeMap<String, usize> {
    let log = pool.data_dir().join("strace.log");
    let arguments = ["-f", "-qq", "-o", log.to_str().unwrap()];
    call.under("strace", &arguments).run().succeeds();
    let mut counts = BTreeMap::new();
    for line in std::fs::read_to_string(&log).unwrap().lines() {
        let rest = line
            .split_once(' ')
            .map_or(line, |(_, rest)| rest.trim_start());
        if let Some((name, _)) = rest.split_once('(') {
            *counts.entry(name.to_owned()).or_default() += 1;
        }
    }
    std::fs::remove_file(&log).unwrap();
    // How the memory allocator grows is no work on files.
    for memory in ["brk", "mmap", "munmap", "mremap", "madvise"] {
        counts.remove(memory);
    }
    counts
}

/// A pool with so many reservations, some made by another program, and an index that counts.
fn pool_with(reservations: u32) -> Pool {
    let pool = Pool::ipv4("10.1.0.0/16");
    let first = u32::from_be_bytes([10, 1, 0, 2]);
    let mut last = String::new();
    for number in 0..reservations {
        last = std::net::Ipv4Addr::from_bits(first + number).to_string();
        pool.write(&last, &format!("pod-{number}\r\neth0"));
    }
    pool.write("last_reserved_ip.0", &last);
    pool.add("first").succeeds();
    pool
}

#[test]
fn add_and_del_take_the_same_system_calls_at_10_and_at_60000_reservations() {
    if Command::new("strace").arg("-V").output().is_err() {
        skip("no strace: install Debian's package strace");
        return;
    }
    let mut costs = Vec::new();
    for reservations in [10, 60_000] {
        let pool = pool_with(reservations);
        costs.push([
            system_calls(&pool, &pool.call("ADD", "measured")),
            system_calls(&pool, &pool.call("CHECK", "measured")),
            system_calls(&pool, &pool.call("DEL", "measured")),
            system_calls(&pool, &pool.call("DEL", "unknown")),
            system_calls(&pool, &pool.call("DEL", "pod-7")),
        ]);
        assert_eq!(pool.reserved().len(), reservations as usize);
    }
    assert_eq!(costs[0], costs[1]);
    for (what, calls) in [
        "ADD",
        "CHECK",
        "DEL",
        "DEL of an unknown",
        "DEL of one by hand",
    ]
    .iter()
    .zip(&costs[0])
    {
        println!("{what}: {} system calls", calls.values().sum::<usize>());
        assert_eq!(calls.get("getdents64"), None, "{what} lists a directory");
    }
}

#[test]
fn the_only_hole_of_a_nearly_full_pool_is_found_without_trying_every_name() {
    if Command::new("strace").arg("-V").output().is_err() {
        skip("no strace: install Debian's package strace");
        return;
    }
    let pool = pool_with(20_000);
    let mut conf = pool.conf();
    conf["ipam"]["ranges"][0][0]["rangeEnd"] = "10.1.78.34".into();
    pool.call("DEL", "pod-7777").run().succeeds_silently();
    let calls = system_calls(&pool, &pool.call_with("ADD", "late", &conf));
    assert_eq!(
        pool.of("late").into_iter().collect::<Vec<_>>(),
        ["10.1.30.99"]
    );
    assert_eq!(calls["renameat2"], 1);
}

#[test]
fn after_a_foreign_change_only_what_changed_is_read() {
    if Command::new("strace").arg("-V").output().is_err() {
        skip("no strace: install Debian's package strace");
        return;
    }
    let pool = pool_with(1000);
    // All were reserved long before the index was written, as far as it can tell.
    let owners = File::options()
        .write(true)
        .open(pool.owners_file())
        .unwrap();
    owners
        .set_modified(SystemTime::now() + Duration::from_secs(60))
        .unwrap();
    pool.write("10.1.200.1", "foreign\r\neth0");
    let calls = system_calls(&pool, &pool.call("DEL", "foreign"));
    assert!((1000..1100).contains(&calls["statx"]), "{calls:?}");
    assert!(calls["openat"] < 20, "{calls:?}");
    assert!(pool.of("foreign").is_empty());
    pool.assert_index_is_right();
}
