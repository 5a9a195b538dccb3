//! Reservations of before a reboot: marked beside the reference's format, and freed by choice.

use crate::pool::Pool;
use netloom_testkit::skip;
use rustix::fs::{XattrFlags, getxattr, removexattr, setxattr};
use serde_json::{Value, json};
use std::path::Path;

const MARK: &str = "user.netloom.boot";

fn mark_of(file: &Path) -> Option<String> {
    let mut value = [0_u8; 64];
    let length = getxattr(file, MARK, &mut value).ok()?;
    Some(String::from_utf8(value[..length].to_vec()).unwrap())
}

/// As if the files of these names, and the network, were of before a reboot.
fn reboot(pool: &Pool, names: &[&str]) {
    for name in names {
        let file = pool.directory().join(name);
        setxattr(&file, MARK, b"an-earlier-boot", XattrFlags::empty()).unwrap();
    }
    let _ = removexattr(pool.directory(), "user.netloom.reclaimed");
}

fn reclaiming(pool: &Pool) -> Value {
    let mut conf = pool.conf();
    conf["ipam"]["reclaimAfterReboot"] = json!(true);
    conf
}

/// `None` where the filesystem has no extended attributes.
fn pool() -> Option<Pool> {
    let pool = Pool::ipv4("10.1.0.0/29");
    pool.add("one").succeeds();
    if mark_of(&pool.directory().join("10.1.0.2")).is_none() {
        skip("the filesystem for temporary files has no extended attributes");
        return None;
    }
    Some(pool)
}

#[test]
fn a_reservation_bears_the_id_of_this_boot_and_its_content_is_the_references() {
    let Some(pool) = pool() else { return };
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let file = pool.directory().join("10.1.0.2");
    assert_eq!(mark_of(&file).unwrap(), boot.trim());
    assert_eq!(pool.reserved()["10.1.0.2"], "one\r\neth0");
    // The file of a freed address becomes the next one's, and must not bring its mark along.
    reboot(&pool, &["10.1.0.2"]);
    pool.del("one").succeeds_silently();
    pool.add("two").succeeds();
    assert_eq!(
        mark_of(&pool.directory().join("10.1.0.3")).unwrap(),
        boot.trim()
    );
}

#[test]
fn the_first_add_after_a_reboot_frees_what_was_reserved_before_if_it_is_told_to() {
    let Some(pool) = pool() else { return };
    for id in ["two", "three"] {
        pool.add(id).succeeds();
    }
    pool.write("10.1.0.6", "of-go\r\neth0");
    reboot(&pool, &["10.1.0.2", "10.1.0.3"]);

    pool.add("four").succeeds();
    assert_eq!(pool.reserved().len(), 5, "nobody told it to");
    pool.del("four").succeeds_silently();
    let add = pool.call_with("ADD", "five", &reclaiming(&pool)).run();
    add.succeeds();
    let told = "reclaimed after a reboot: 10.1.0.2, 10.1.0.3";
    let told_otherwise = "reclaimed after a reboot: 10.1.0.3, 10.1.0.2";
    assert!(
        add.stderr.contains(told) || add.stderr.contains(told_otherwise),
        "{add}"
    );
    let left: Vec<_> = pool.reserved().into_values().collect();
    assert!(left.contains(&"three\r\neth0".to_owned()), "{left:?}");
    assert!(left.contains(&"of-go\r\neth0".to_owned()), "{left:?}");
    assert_eq!(left.len(), 3, "{left:?}");

    // Once in a run of the kernel.
    let file = pool.directory().join("10.1.0.4");
    setxattr(&file, MARK, b"an-earlier-boot", XattrFlags::empty()).unwrap();
    let second = pool.call_with("ADD", "six", &reclaiming(&pool)).run();
    second.succeeds();
    assert!(pool.reserved().contains_key("10.1.0.4"));
}

#[test]
fn a_pool_that_was_full_before_the_reboot_gives_addresses_again() {
    let Some(pool) = pool() else { return };
    for id in ["two", "three", "four", "five"] {
        pool.add(id).succeeds();
    }
    pool.add("six").fails_with(11);
    reboot(
        &pool,
        &["10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6"],
    );
    pool.call_with("ADD", "six", &reclaiming(&pool))
        .run()
        .succeeds();
    assert_eq!(pool.reserved().len(), 1);
    pool.del("six").succeeds_silently();
    assert_eq!(pool.reserved().len(), 0);
}

#[test]
fn the_key_must_be_a_boolean() {
    let pool = Pool::ipv4("10.1.0.0/29");
    let mut conf = pool.conf();
    conf["ipam"]["reclaimAfterReboot"] = json!("yes");
    let error = pool.call_with("ADD", "one", &conf).run().fails_with(6);
    error.names(&["reclaimAfterReboot"]);
}
