//! The owner index after somebody else changed the files.

use crate::pool::{Pool, address};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::time::SystemTime;

/// A pool with two attachments and an index that counts.
fn pool() -> Pool {
    let pool = Pool::ipv4("10.1.0.0/24");
    assert_eq!(address(&pool.add("a").succeeds()), "10.1.0.2");
    assert_eq!(address(&pool.add("b").succeeds()), "10.1.0.3");
    pool.assert_index_is_right();
    pool
}

#[test]
fn a_reservation_made_by_hand_is_seen() {
    let pool = pool();
    pool.write("10.1.0.4", "c\r\neth0");
    pool.add("c")
        .fails_with(999)
        .names(&["10.1.0.4 has been allocated to c"]);
    pool.assert_index_is_right();
    assert_eq!(address(&pool.add("d").succeeds()), "10.1.0.5");
    pool.del("c").succeeds_silently();
    assert_eq!(pool.reserved().len(), 3);
    pool.assert_index_is_right();
}

#[test]
fn a_reservation_removed_by_hand_is_free() {
    let pool = pool();
    fs::remove_file(pool.directory().join("10.1.0.2")).unwrap();
    assert_eq!(address(&pool.add("a").succeeds()), "10.1.0.4");
    pool.del("a").succeeds_silently();
    pool.assert_index_is_right();
}

#[test]
fn a_reservation_that_changed_hands_in_place_is_not_taken_from_its_new_owner() {
    let pool = pool();
    pool.write("10.1.0.2", "c\r\neth0");
    pool.del("a").succeeds_silently();
    assert_eq!(pool.reserved()["10.1.0.2"], "c\r\neth0");
    pool.assert_index_is_right();
    pool.del("c").succeeds_silently();
    assert_eq!(
        pool.reserved().into_keys().collect::<Vec<_>>(),
        ["10.1.0.3"]
    );
}

#[test]
fn a_removed_index_is_made_anew() {
    let pool = pool();
    fs::remove_dir_all(pool.data_dir().join(".netloom")).unwrap();
    pool.add("a").fails_with(999);
    pool.assert_index_is_right();
    fs::remove_dir_all(pool.data_dir().join(".netloom")).unwrap();
    pool.del("a").succeeds_silently();
    pool.assert_index_is_right();
    assert_eq!(address(&pool.add("c").succeeds()), "10.1.0.4");
}

#[test]
fn a_spoilt_index_is_mended() {
    let pool = pool();
    let spoil: [(&str, &dyn Fn()); 6] = [
        ("a link removed", &|| {
            fs::remove_file(pool.index().join("a:eth0")).unwrap()
        }),
        ("a link too many", &|| {
            symlink("10.1.0.2", pool.index().join("z:eth0")).unwrap()
        }),
        ("a link to nonsense", &|| {
            fs::remove_file(pool.index().join("a:eth0")).unwrap();
            symlink("../../etc/passwd", pool.index().join("a:eth0")).unwrap();
        }),
        ("a file for a link", &|| {
            fs::remove_file(pool.index().join("a:eth0")).unwrap();
            fs::write(pool.index().join("a:eth0"), "10.1.0.2").unwrap();
        }),
        ("drafts left behind", &|| {
            fs::write(pool.index().join(".reserving"), "half").unwrap();
            symlink("10.1.0.2", pool.index().join(".linking")).unwrap();
        }),
        ("a draft that is a reservation's second name", &|| {
            let draft = pool.index().join(".reserving");
            fs::hard_link(pool.directory().join("10.1.0.2"), draft).unwrap();
        }),
    ];
    for (what, spoil) in spoil {
        spoil();
        pool.add("a")
            .fails_with(999)
            .names(&["10.1.0.2 has been allocated to a"]);
        pool.assert_index_is_right();
        spoil();
        pool.add("c").succeeds();
        pool.assert_index_is_right();
        pool.del("c").succeeds_silently();
        assert_eq!(pool.reserved()["10.1.0.2"], "a\r\neth0", "after {what}");
        pool.assert_index_is_right();
    }
}

#[test]
fn bits_that_lie_are_found_out() {
    let pool = Pool::ipv4("10.1.0.0/29");
    pool.add("a").succeeds();
    pool.add("b").succeeds();
    let block = pool.index().join(".taken-10.1.0.0");
    // In place, so that no time tells: all free, though two are taken …
    fs::write(&block, [0; 8192]).unwrap();
    fs::write(pool.directory().join("last_reserved_ip.0"), "10.1.0.1").unwrap();
    assert_eq!(address(&pool.add("c").succeeds()), "10.1.0.4");
    // … and all taken, though two are free.
    fs::write(&block, [0xff; 8192]).unwrap();
    pool.ours().status(&pool.conf()).succeeds_silently();
    assert_eq!(address(&pool.add("d").succeeds()), "10.1.0.5");
    assert_eq!(address(&pool.add("e").succeeds()), "10.1.0.6");
    pool.add("f").fails_with(11);
    fs::remove_file(&block).unwrap();
    pool.del("d").succeeds_silently();
    assert_eq!(address(&pool.add("f").succeeds()), "10.1.0.5");
    pool.assert_index_is_right();
}

#[test]
fn equal_times_of_both_directories_do_not_make_an_index_count() {
    // The kernel sets both to one moment when a reservation is renamed from one to the other;
    // a kill right after that must not go unnoticed.
    let pool = pool();
    let now = SystemTime::now();
    pool.write("10.1.0.4", "c\r\neth0");
    for directory in [pool.directory(), pool.index()] {
        File::open(directory).unwrap().set_modified(now).unwrap();
    }
    pool.add("c")
        .fails_with(999)
        .names(&["10.1.0.4 has been allocated to c"]);
}

#[test]
fn an_owner_of_very_many_addresses_is_read_from_the_reservations() {
    let pool = pool();
    for host in 10..200 {
        pool.write(&format!("10.1.0.{host}"), "many\r\neth0");
    }
    for _ in 0..2 {
        pool.add("many")
            .fails_with(999)
            .names(&["has been allocated to many"]);
        assert_eq!(pool.links()["many:eth0"], "*");
    }
    pool.del("many").succeeds_silently();
    assert_eq!(pool.reserved().len(), 2);
    pool.assert_index_is_right();
}

#[test]
fn a_changed_range_needs_no_new_index() {
    let pool = pool();
    let mut conf = pool.conf();
    conf["ipam"]["ranges"][0][0]["rangeEnd"] = "10.1.0.4".into();
    let result = pool.call_with("ADD", "c", &conf).run().succeeds();
    assert_eq!(address(&result), "10.1.0.4");
    pool.call_with("ADD", "d", &conf).run().fails_with(11);
    // Released by a configuration that knows nothing of the address.
    let mut other = pool.conf();
    other["ipam"]["ranges"][0][0]["subnet"] = "10.77.0.0/24".into();
    pool.call_with("DEL", "a", &other).run().succeeds_silently();
    let result = pool.call_with("ADD", "d", &conf).run().succeeds();
    assert_eq!(address(&result), "10.1.0.2");
    pool.assert_index_is_right();
}
