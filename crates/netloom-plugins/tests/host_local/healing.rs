//! The owner index after somebody else changed the files.

use crate::pool::{Pool, address};
use std::fs::{self, File};
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

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
    let disturb = || drop(File::create(pool.index().join("disturbing")).unwrap());
    let spoil: [(&str, &dyn Fn()); 8] = [
        ("no owners", &|| {
            fs::remove_file(pool.owners_file()).unwrap();
        }),
        ("owners of another boot", &|| {
            fs::rename(pool.owners_file(), pool.index().join(".owners-another")).unwrap();
        }),
        ("an empty file of owners", &|| {
            File::create(pool.owners_file()).unwrap();
            disturb();
        }),
        ("a torn file of owners", &|| {
            let file = File::options()
                .write(true)
                .open(pool.owners_file())
                .unwrap();
            file.set_len(4095).unwrap();
            disturb();
        }),
        ("a hole in the owners", &|| {
            let file = File::options()
                .write(true)
                .open(pool.owners_file())
                .unwrap();
            file.set_len(0).unwrap();
            file.set_len(4096).unwrap();
            file.set_modified(SystemTime::now() + Duration::from_secs(60))
                .unwrap();
            disturb();
        }),
        ("nonsense for owners", &|| {
            fs::write(pool.owners_file(), [0x55; 8192]).unwrap();
            disturb();
        }),
        ("drafts left behind", &|| {
            fs::write(pool.index().join(".reserving"), "half").unwrap();
            fs::write(pool.index().join(".owners"), "half").unwrap();
        }),
        ("a draft that is a reservation's second name", &|| {
            let draft = pool.index().join(".reserving");
            // What a DEL left for the next reservation.
            let _ = fs::remove_file(&draft);
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
fn the_file_of_a_freed_address_is_the_next_ones() {
    let pool = pool();
    let inode = |name: &str| pool.directory().join(name).metadata().unwrap().ino();
    let freed = inode("10.1.0.2");
    pool.del("a").succeeds_silently();
    assert_eq!(
        address(&pool.add("c-of-a-longer-name").succeeds()),
        "10.1.0.4"
    );
    assert_eq!(inode("10.1.0.4"), freed);
    assert_eq!(pool.reserved()["10.1.0.4"], "c-of-a-longer-name\r\neth0");
    pool.del("c-of-a-longer-name").succeeds_silently();
    assert_eq!(address(&pool.add("d").succeeds()), "10.1.0.5");
    assert_eq!(pool.reserved()["10.1.0.5"], "d\r\neth0");
    pool.assert_index_is_right();
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
        let read_all = IpAddr::from(Ipv6Addr::UNSPECIFIED);
        assert_eq!(
            pool.noted()
                .iter()
                .filter(|(_, at)| *at == read_all)
                .count(),
            1
        );
        assert_eq!(pool.noted().len(), 3);
    }
    pool.del("many").succeeds_silently();
    assert_eq!(pool.reserved().len(), 2);
    // That there is much to be read is forgotten when it turns out to be nothing.
    pool.del("many").succeeds_silently();
    pool.assert_index_is_right();
}

#[test]
fn an_address_that_changed_hands_by_another_program_is_its_new_owners() {
    let pool = pool();
    // Both were reserved long before the index was written, as far as it can tell.
    let owners = File::options()
        .write(true)
        .open(pool.owners_file())
        .unwrap();
    owners
        .set_modified(SystemTime::now() + Duration::from_secs(60))
        .unwrap();
    fs::remove_file(pool.directory().join("10.1.0.2")).unwrap();
    pool.write("10.1.0.2", "c\r\neth0");
    pool.del("a").succeeds_silently();
    pool.assert_index_is_right();
    pool.del("c").succeeds_silently();
    assert_eq!(
        pool.reserved().into_keys().collect::<Vec<_>>(),
        ["10.1.0.3"]
    );
    pool.assert_index_is_right();
}

#[test]
fn a_spelling_of_an_address_that_is_not_the_usual_one_is_found() {
    let pool = Pool::dual_stack();
    pool.write("FD00::99", "odd\r\neth0");
    for _ in 0..2 {
        pool.add("odd").fails_with(999).names(&["allocated to odd"]);
    }
    pool.del("odd").succeeds_silently();
    assert!(pool.reserved().is_empty());
    // That there is something to be read is forgotten when it turns out to be nothing.
    pool.del("odd").succeeds_silently();
    pool.assert_index_is_right();
}

#[test]
fn a_container_of_very_many_interfaces_does_not_fill_the_index() {
    let pool = Pool::ipv4("10.1.0.0/23");
    for host in 2..250 {
        pool.write(&format!("10.1.0.{host}"), &format!("many\r\neth{host}"));
    }
    pool.add("other").succeeds();
    assert_eq!(pool.noted().len(), 2);
    pool.del("many").succeeds_silently();
    pool.del("other").succeeds_silently();
    assert_eq!(pool.reserved().len(), 248);
    pool.assert_index_is_right();
}

#[test]
fn the_index_grows_with_the_pool() {
    let pool = Pool::ipv4("10.1.0.0/20");
    for step in 0..300 {
        pool.add(&format!("pod-{step}")).succeeds();
    }
    assert!(fs::metadata(pool.owners_file()).unwrap().len() > 4096);
    pool.assert_index_is_right();
    for step in 0..300 {
        pool.del(&format!("pod-{step}")).succeeds_silently();
    }
    assert!(pool.reserved().is_empty());
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
