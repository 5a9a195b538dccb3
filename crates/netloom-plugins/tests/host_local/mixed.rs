//! The Go host-local and ours on one directory, in turn and at once.

use crate::pool::{Pool, address};
use netloom_testkit::{Plugin, parallel};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn each_releases_what_the_other_reserved() {
    let Some(go) = Plugin::debian("host-local") else {
        return;
    };
    let pool = Pool::dual_stack();
    let ours = pool.ours();
    for (add, del) in [(&go, &ours), (&ours, &go), (&go, &go), (&ours, &ours)] {
        pool.call_of(add, "ADD", "pod", &pool.conf())
            .run()
            .succeeds();
        assert_eq!(pool.of("pod").len(), 2);
        for plugin in [&go, &ours] {
            pool.call_of(plugin, "CHECK", "pod", &pool.conf())
                .run()
                .succeeds();
            let again = pool
                .call_of(plugin, "ADD", "pod", &pool.conf())
                .run()
                .fails();
            again.names(&["has been allocated to pod, duplicate allocation is not allowed"]);
        }
        // The Go plugin's second ADD frees nothing here, as it fails in the first range set.
        assert_eq!(pool.of("pod").len(), 2);
        pool.call_of(del, "DEL", "pod", &pool.conf())
            .run()
            .succeeds();
        assert_eq!(pool.reserved(), BTreeMap::new());
    }
}

#[test]
fn both_give_out_addresses_in_one_order() {
    let Some(go) = Plugin::debian("host-local") else {
        return;
    };
    let pool = Pool::new(json!([[
        {"subnet": "10.1.0.0/29", "rangeStart": "10.1.0.4"},
        {"subnet": "10.2.0.0/30"},
    ]]));
    let ours = pool.ours();
    let mut given = Vec::new();
    for step in 0..12 {
        let plugin = if step % 3 == 0 { &go } else { &ours };
        let id = format!("pod-{step}");
        given.push(address(
            &pool
                .call_of(plugin, "ADD", &id, &pool.conf())
                .run()
                .succeeds(),
        ));
        pool.call_of(plugin, "DEL", &id, &pool.conf())
            .run()
            .succeeds();
    }
    let round = ["10.1.0.4", "10.1.0.5", "10.1.0.6", "10.2.0.2"];
    assert_eq!(given, [round, round, round].concat());
}

#[test]
fn two_hundred_at_once_get_two_hundred_addresses_and_leave_none() {
    let Some(go) = Plugin::debian("host-local") else {
        return;
    };
    let pool = Pool::ipv4("10.1.0.0/24");
    let ours = pool.ours();
    let run = |command: &str, step: usize, plugin: &Plugin| {
        pool.call_of(plugin, command, &format!("pod-{step}"), &pool.conf())
            .run()
            .succeeds()
    };
    let given: BTreeSet<String> = parallel(200, 8, |step| {
        address(&run("ADD", step, if step % 2 == 0 { &go } else { &ours }))
    })
    .into_iter()
    .collect();
    assert_eq!(given.len(), 200, "an address was given twice");
    assert_eq!(pool.reserved().into_keys().collect::<BTreeSet<_>>(), given);
    parallel(200, 8, |step| {
        // Of four, one is released by who reserved it.
        run("DEL", step, if step % 4 < 2 { &ours } else { &go });
    });
    assert_eq!(pool.reserved(), BTreeMap::new());
    pool.add("after").succeeds();
    pool.assert_index_is_right();
}

#[test]
fn adds_and_dels_of_both_at_once_never_meet_on_an_address() {
    let Some(go) = Plugin::debian("host-local") else {
        return;
    };
    // So small that addresses are reused all the time.
    let pool = Pool::ipv4("10.1.0.0/28");
    let ours = pool.ours();
    parallel(100, 8, |step| {
        let id = format!("pod-{step}");
        let (add, del) = if step % 2 == 0 {
            (&go, &ours)
        } else {
            (&ours, &go)
        };
        let given = address(&pool.call_of(add, "ADD", &id, &pool.conf()).run().succeeds());
        assert_eq!(pool.of(&id), BTreeSet::from([given]));
        pool.call_of(del, "DEL", &id, &pool.conf()).run().succeeds();
        assert_eq!(pool.of(&id), BTreeSet::new());
    });
    assert_eq!(pool.reserved(), BTreeMap::new());
}
