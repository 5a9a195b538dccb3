//! Whose namespace a reservation is for: no other DEL frees it while that namespace lives.

use crate::pool::Pool;
use netloom_testkit::{Host, Plugin, Pod, probe, skip};
use rustix::fs::{XattrFlags, removexattr, setxattr};
use serde_json::json;
use std::fs;
use std::path::Path;

const MARK: &str = "user.netloom.netns";

/// A host, and a pool. `None` where the filesystem keeps no attributes: nothing is noted there.
fn lab() -> Option<(Host, Pool)> {
    let pool = Pool::ipv4("10.1.0.0/29");
    fs::write(pool.data_dir().join("probe"), "").unwrap();
    let noted = setxattr(
        pool.data_dir().join("probe"),
        MARK,
        b"x",
        XattrFlags::empty(),
    );
    if noted.is_err() {
        skip("the filesystem of temporary files has no extended attributes of users");
        return None;
    }
    Some((Host::new()?, pool))
}

fn run(pool: &Pool, command: &str, id: &str, netns: impl AsRef<Path>) -> netloom_testkit::Outcome {
    let call = pool.call(command, id);
    call.env("CNI_NETNS", netns.as_ref()).run()
}

#[test]
fn a_del_that_names_another_namespace_frees_nothing_while_that_of_add_lives() {
    let Some((host, pool)) = lab() else {
        return;
    };
    let (one, two) = (host.pod("one"), host.pod("two"));
    run(&pool, "ADD", "same-id", one.path()).succeeds();
    let reserved = pool.reserved();
    for _ in 0..2 {
        let error = run(&pool, "ADD", "same-id", two.path()).fails();
        error.names(&["same-id"]);
        let del = run(&pool, "DEL", "same-id", two.path());
        del.succeeds_silently();
        for told in ["10.1.0.2", one.path().to_str().unwrap()] {
            assert!(del.stderr.contains(told), "{del}");
        }
        assert_eq!(pool.reserved(), reserved);
    }
    run(&pool, "DEL", "same-id", one.path()).succeeds_silently();
    assert_eq!(pool.reserved().len(), 0);
    pool.assert_index_is_right();
}

#[test]
fn every_other_del_frees_it() {
    let Some((host, pool)) = lab() else {
        return;
    };
    let (one, two) = (host.pod("one"), host.pod("two"));
    host.sh("ln -s /run/netns/one /run/alias; touch /run/file");
    let other_spellings = ["/run/alias", "/run/../run/netns/one"];
    let none = ["", "/run/netns/of-nobody", "/run/file"];
    for netns in other_spellings.into_iter().chain(none) {
        run(&pool, "ADD", "pod", one.path()).succeeds();
        run(&pool, "DEL", "pod", netns).succeeds_silently();
        assert_eq!(pool.reserved().len(), 0, "{netns:?}");
    }
    // As the reference, and older releases, leave it.
    run(&pool, "ADD", "pod", one.path()).succeeds();
    for name in pool.reserved().into_keys() {
        removexattr(pool.directory().join(name), MARK).unwrap();
    }
    run(&pool, "DEL", "pod", two.path()).succeeds_silently();
    assert_eq!(pool.reserved().len(), 0);
    // ADD's namespace is gone, and another is where it was.
    run(&pool, "ADD", "pod", one.path()).succeeds();
    one.remove();
    let _another = host.pod("one");
    run(&pool, "DEL", "pod", two.path()).succeeds_silently();
    assert_eq!(pool.reserved().len(), 0);
}

/// The file of a reservation that was freed becomes the next one, with its attributes.
#[test]
fn what_a_former_owner_noted_says_nothing_of_the_next() {
    let Some((host, pool)) = lab() else {
        return;
    };
    let (one, two) = (host.pod("one"), host.pod("two"));
    run(&pool, "ADD", "former", one.path()).succeeds();
    run(&pool, "DEL", "former", one.path()).succeeds_silently();
    // Nothing is there to be noted, as when an older release takes the file.
    run(&pool, "ADD", "next", "/run/netns/of-nobody").succeeds();
    run(&pool, "DEL", "next", two.path()).succeeds_silently();
    assert_eq!(pool.reserved().len(), 0);
}

#[test]
fn under_the_references_bridge_a_second_add_costs_the_first_pod_nothing() {
    let Some((host, pool)) = lab() else {
        return;
    };
    let (one, two) = (host.pod("one"), host.pod("two"));
    let Some(bridge) = Plugin::debian("bridge") else {
        return;
    };
    if !probe::has_link_kind("bridge") {
        return skip("the kernel has no bridges");
    }
    let mut conf = pool.conf();
    conf["cniVersion"] = json!("1.0.0");
    let ours = pool.ours();
    let call = |command: &str, pod: &Pod| {
        let call = bridge.call(command, &conf).pod(pod);
        call.env("CNI_CONTAINERID", "same-id")
            .env("CNI_PATH", ours.program().parent().unwrap())
            .run()
    };
    call("ADD", &one).succeeds();
    let reserved = pool.reserved();
    assert_eq!(reserved.len(), 1);
    call("ADD", &two).fails();
    call("DEL", &two).succeeds_silently();
    assert_eq!(pool.reserved(), reserved);
    call("DEL", &one).succeeds_silently();
    assert_eq!(pool.reserved().len(), 0);
}
