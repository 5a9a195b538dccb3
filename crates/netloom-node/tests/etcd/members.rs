//! A store of three members, and the leader dies.

use std::time::Instant;

use rustix::process::Signal;

use crate::lab::{Etcd, Lab, deadline, network};

#[test]
fn a_leader_that_is_killed_is_not_noticed_and_what_comes_after_is_heard() {
    let Some(lab) = Lab::new() else { return };
    let mut members = Etcd::together(3);
    members[0].put("/coreos.com/network/config", &network("auto"));
    let urls: Vec<String> = members.iter().map(Etcd::url).collect();
    let urls = urls.join(",");
    let (one, two, late) = (lab.machine(1, 1), lab.machine(2, 2), lab.machine(3, 1));
    let mut first = one.joined(&urls, &[]);
    let _second = two.joined(&urls, &[]);
    one.until("both ways", |m| m.told("/peers/routes") == 2);

    // A member that waits long for its disk may have lost the lead, and nobody has it for a moment.
    let deadline = deadline();
    let leader = loop {
        match members.iter().position(Etcd::leads) {
            Some(leader) => break leader,
            None => assert!(Instant::now() < deadline, "no member leads"),
        }
    };
    members[leader].kill();
    // The third joins by those that are left; the first hears of it, by whichever member it asked.
    let _third = late.joined(&urls, &[]);
    one.until("the third", |m| m.told("/peers/routes") == 4);
    // Without a majority, the two that are there go on.
    let next = (leader + 1) % 3;
    members[next].kill();
    assert_eq!(first.end(Signal::TERM).code(), Some(0));
    let _again = one.joined(&urls, &[]);
    assert_eq!(one.told("/peers/routes"), 4);
    members[next].begin();
    one.until("the store is there again", |m| {
        m.told("/store/connected") == true
    });
}
