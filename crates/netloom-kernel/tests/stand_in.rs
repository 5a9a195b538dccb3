//! A stand-in waits until the kernel has freed what was removed; what was removed is gone before.
//! A program of its own: once allowed, stand-ins are children of the whole process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod host;

use netloom_kernel::rtnl::{LinkSpec, PeerSpec, Socket};
use netloom_kernel::stand_in;

/// All in one test, since other tests' children would be waited for too.
#[test]
fn a_link_that_a_stand_in_removes_is_gone_at_once_and_its_name_is_free() {
    if !host::enter() {
        return;
    }
    stand_in::allow();
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
    let mut children = 0;
    while rustix::process::wait(rustix::process::WaitOptions::empty()).is_ok() {
        children += 1;
    }
    assert_eq!(children, 40, "one for each removal, and each has ended");
}

fn count(directory: &str) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}
