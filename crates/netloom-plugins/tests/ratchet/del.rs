//! DEL, whatever is left.

use crate::lab::{ADDRESSES, STORE, delegating, files, has, lab, linked, pair, primary};
use std::fs;

#[test]
fn del_aimed_at_another_namespace_leaves_both_pods_alone() {
    let Some(lab) = lab() else { return };
    let (one, two) = linked(&lab, &primary());
    let kept = files();
    let wrong = lab
        .call("DEL", &one, &primary())
        .env("CNI_NETNS", two.path());
    let outcome = wrong.run();
    outcome.succeeds_silently();
    let told = "nothing of that attachment is removed";
    assert!(outcome.stderr.contains(told), "{outcome}");
    assert!(one.pings([192, 168, 2, 101]));
    assert_eq!(files(), kept);
    // Without a namespace it is the record's.
    let without = lab.call("DEL", &one, &primary()).env("CNI_NETNS", "");
    without.run().succeeds_silently();
    assert!(!has(&one, "in1") && !has(&two, "in2"));
}

#[test]
fn del_without_the_store_succeeds_and_the_other_pod_goes_on() {
    let Some(lab) = lab() else { return };
    let (one, two) = linked(&lab, &primary());
    fs::remove_dir_all("/var/lib/cni/netloom").unwrap();
    for _ in 0..2 {
        lab.del(&one, &primary());
    }
    one.remove();
    lab.del(&two, &pair());
}

#[test]
fn a_broken_record_does_not_keep_a_pod() {
    for content in ["", "{", "[]", "{\"form\": 9}", "{\"links\": 7}"] {
        let Some(lab) = lab() else { return };
        let before = lab.snapshot(&[]);
        let conf = delegating(ADDRESSES);
        let (one, two) = linked(&lab, &conf);
        fs::write(format!("{STORE}/id-of-primary:eth0"), content).unwrap();
        let outcome = lab.call("DEL", &one, &conf).run();
        outcome.succeeds_silently();
        assert!(
            outcome.stderr.contains("id-of-primary:eth0 is no record"),
            "{outcome}"
        );
        // The delegate was called by the configuration of now.
        assert!(!has(&one, "eth0"));
        assert!(!has(&one, "in1") && !has(&two, "in2"));
        drop(one);
        lab.del(&two, &pair());
        drop(two);
        assert_eq!(files(), [""; 0]);
        lab.assert_same(&before, &[]);
    }
}

#[test]
fn del_goes_on_past_a_delegate_that_fails_and_ends_when_it_does_not() {
    let Some(lab) = lab() else { return };
    let conf = delegating("/run/addresses");
    let (one, two) = linked(&lab, &conf);
    let lock = "/run/addresses/net/lock";
    fs::remove_file(lock).unwrap();
    fs::create_dir(lock).unwrap();
    lab.call("DEL", &one, &conf).run().fails();
    assert!(!has(&two, "in2"));
    assert!(files().contains(&"id-of-primary:eth0".to_owned()));
    fs::remove_dir(lock).unwrap();
    lab.del(&one, &conf);
    assert!(!files().contains(&"id-of-primary:eth0".to_owned()));
}
