//! GC.

use crate::lab::{ADDRESSES, STORE, delegating, files, has, lab, linked, primary};
use serde_json::json;
use std::fs;

#[test]
fn gc_removes_what_no_valid_attachment_has_and_nothing_else() {
    let Some(lab) = lab() else { return };
    let before = lab.snapshot(&[]);
    let conf = delegating(ADDRESSES);
    let (one, two) = linked(&lab, &conf);
    let both = [("id-of-primary", "eth0"), ("id-of-pair", "eth0")];
    lab.ratchet.gc(&conf, &both).succeeds_silently();
    // Without a list everybody is valid.
    lab.ratchet.call("GC", &conf).run().succeeds_silently();
    assert!(one.pings([192, 168, 2, 101]));
    lab.ratchet.gc(&conf, &both[1..]).succeeds_silently();
    assert!(!has(&one, "in1") && !has(&two, "in2"));
    assert_eq!(files().iter().filter(|name| name.contains(':')).count(), 1);
    let reserved = fs::read_dir("/var/lib/cni/networks/net").unwrap();
    let reserved = reserved.filter(|it| {
        it.as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with("10.9")
    });
    assert_eq!(reserved.count(), 0);
    drop(one);
    lab.ratchet.gc(&conf, &[]).succeeds_silently();
    assert_eq!(files(), [""; 0]);
    drop(two);
    lab.assert_same(&before, &[]);
}

#[test]
fn gc_tells_files_that_are_no_records_and_records_of_former_runs_go_without_a_look_at_the_kernel() {
    let Some(lab) = lab() else { return };
    let (_one, two) = linked(&lab, &primary());
    let path = format!("{STORE}/id-of-primary:eth0");
    let text = fs::read_to_string(&path).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
    record["boot"] = json!("another");
    fs::write(&path, record.to_string()).unwrap();
    fs::write(format!("{STORE}/broken:eth0"), "{").unwrap();
    let outcome = lab.ratchet.gc(&primary(), &[("id-of-pair", "eth0")]);
    outcome.succeeds_silently();
    assert!(outcome.stderr.contains("broken:eth0"), "{outcome}");
    assert!(!files().contains(&"id-of-primary:eth0".to_owned()));
    // What bears the marks now is of this run.
    assert!(has(&two, "in2"));
}
