//! A reaper waits until the kernel has freed what was removed; what was removed is gone before.
//! A program of its own: once allowed, reapers are children of the whole process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod host;

use netloom_kernel::nft::{self, Family, Table};
use netloom_kernel::reaper;
use netloom_kernel::rtnl::{LinkSpec, PeerSpec, Socket};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::sync::{Mutex, PoisonError};

/// One test after the other, since each waits for all children.
static CHILDREN: Mutex<()> = Mutex::new(());

#[test]
fn a_link_that_a_reaper_removes_is_gone_at_once_and_its_name_is_free() {
    let _alone = CHILDREN.lock().unwrap_or_else(PoisonError::into_inner);
    if !host::enter() {
        return;
    }
    reaper::allow();
    let socket = Socket::open().unwrap();
    let spec = || LinkSpec::veth("one", PeerSpec::new("two"));
    for round in 0..20 {
        let link = socket.create_link(&spec()).unwrap();
        let descriptors = count("/proc/self/fd");
        if round % 2 == 0 {
            assert!(socket.remove_link(link.index).unwrap());
        } else {
            let mut batch = socket.batch();
            batch.remove_link(4711_u32).remove_link("one");
            let outcome = batch.commit_all().unwrap();
            assert_eq!(outcome.failures, [], "what is absent is removed already");
        }
        for name in ["one", "two"] {
            assert!(socket.find_link(name).unwrap().is_none(), "{name}");
        }
        assert_eq!(count("/proc/self/fd"), descriptors, "descriptors stay open");
        assert!(!socket.remove_link("one").unwrap(), "it is absent now");
    }
    assert_eq!(children(), 40, "one for each removal, and each has ended");
}

#[test]
fn a_socket_is_closed_by_a_reaper_while_a_deletion_is_under_way_in_its_namespace_and_only_then() {
    let _alone = CHILDREN.lock().unwrap_or_else(PoisonError::into_inner);
    if !host::enter() {
        return;
    }
    reaper::allow();
    let netns = File::open("/proc/thread-self/ns/net").unwrap();
    let uses = |work: &dyn Fn(&nft::Socket)| {
        work(&nft::Socket::open().unwrap());
        reaper::take_over();
    };
    let table = Table::new(Family::Ip, "one");
    let create = |socket: &nft::Socket| {
        let mut batch = socket.batch();
        batch.ensure_table(&table);
        batch.commit().unwrap();
    };
    let delete = |socket: &nft::Socket| {
        let mut batch = socket.batch();
        batch.delete_table(&table);
        batch.commit().unwrap();
    };

    uses(&create);
    assert_eq!(children(), 0, "nothing was deleted");
    uses(&delete);
    let marked = flock(&netns, FlockOperation::NonBlockingLockExclusive);
    assert!(marked.is_err(), "others cannot see what is under way");
    assert_eq!(children(), 1, "something was deleted");

    // As another process does it.
    let other = File::open("/proc/thread-self/ns/net").unwrap();
    flock(&other, FlockOperation::LockShared).unwrap();
    uses(&create);
    assert_eq!(children(), 1, "somebody deleted something");
    drop(other);
    uses(&create);
    assert_eq!(children(), 0, "that is over");
}

/// How many there were; they have ended.
fn children() -> usize {
    let mut children = 0;
    while rustix::process::wait(rustix::process::WaitOptions::empty()).is_ok() {
        children += 1;
    }
    children
}

fn count(directory: &str) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}
