//! CHECK, GC and STATUS.

use crate::lab::{DATA, DUAL, ENV, conf, lab, names, reserved};
use netloom_testkit::Plugin;
use serde_json::json;
use std::fs;

#[test]
fn check_is_the_delegate_s() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let conf = conf(json!({}));
    let result = lab.add(&pod);
    fs::remove_file(ENV).unwrap();
    lab.flannel.check(&conf, &result, &pod).succeeds_silently();
    pod.ip("address del 10.244.3.2/24 dev eth0");
    let error = lab.flannel.check(&conf, &result, &pod).fails();
    error.names(&["10.244.3.2/24", "eth0"]);
}

#[test]
fn check_needs_the_saved_configuration_and_the_result() {
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let conf = conf(json!({}));
    let result = lab.add(&pod);
    lab.call("CHECK", &pod, "eth0", &conf)
        .run()
        .fails_with(7)
        .names(&["prevResult"]);
    fs::write(format!("{DATA}/id-of-one"), "{").unwrap();
    let error = lab.flannel.check(&conf, &result, &pod).fails();
    error.names(&["id-of-one", "no delegate's configuration"]);
    fs::remove_file(format!("{DATA}/id-of-one")).unwrap();
    let error = lab.flannel.check(&conf, &result, &pod).fails();
    error.names(&["id-of-one", "eth0", DATA]);
}

#[test]
fn status_is_50_until_flanneld_has_a_lease_and_then_the_delegate_s() {
    let Some(lab) = lab() else { return };
    let conf = conf(json!({}));
    lab.flannel.status(&conf).succeeds_silently();
    fs::remove_file(ENV).unwrap();
    let error = lab.flannel.status(&conf).fails_with(50);
    error.names(&[ENV, "no such file", "Check the flannel pod log"]);
    fs::write(ENV, DUAL.replace("FLANNEL_MTU=1450\n", "")).unwrap();
    let error = lab.flannel.status(&conf).fails_with(50);
    error.names(&["is missing FLANNEL_MTU"]);
    fs::write(ENV, DUAL.replace("/24", "/30")).unwrap();
    lab.flannel.status(&conf).succeeds_silently();
    let pod = lab.host.pod("one");
    lab.add(&pod);
    let error = lab.flannel.status(&conf).fails_with(50);
    error.names(&["10.244.3."]);
}

#[test]
fn gc_leaves_exactly_the_valid() {
    let Some(lab) = lab() else { return };
    let pods: Vec<_> = (0..12).map(|n| lab.host.pod(&format!("p{n}"))).collect();
    let conf = conf(json!({"delegate": {"ipMasq": true, "ipMasqBackend": "nftables"}}));
    for pod in &pods {
        lab.flannel.add(&conf, pod).succeeds();
    }
    let other = crate::lab::conf(json!({"name": "other", "delegate": {"bridge": "flan1"}}));
    lab.call("ADD", &pods[0], "net1", &other).run().succeeds();
    pods.iter().for_each(netloom_testkit::Pod::remove);
    fs::write(format!("{DATA}/unreadable"), "{").unwrap();
    let valid = [
        ("id-of-p1", "eth0"),
        ("id-of-p7", "eth0"),
        ("id-of-p3", "net9"),
    ];
    let unknown = lab.flannel.call("GC", &conf).run();
    unknown.succeeds_silently();
    assert_eq!(reserved().len(), 24, "nobody said what is valid");
    lab.flannel.gc(&conf, &valid).succeeds_silently();
    let kept = [
        "10.244.3.3",
        "10.244.3.9",
        "fd00:244:0:3::3",
        "fd00:244:0:3::9",
    ];
    assert_eq!(reserved(), kept);
    assert_eq!(
        names(DATA),
        ["id-of-p0:net1", "id-of-p1", "id-of-p7", "unreadable"]
    );
    let rules = lab.host.sh("nft list ruleset");
    for n in 2..=13 {
        let own =
            rules.contains(&format!("10.244.3.{n} ")) || rules.contains(&format!("10.244.3.{n},"));
        assert_eq!(own, n == 3 || n == 9, "{n}: {rules}");
    }
    fs::remove_file(ENV).unwrap();
    lab.flannel.gc(&conf, &[]).succeeds_silently();
    assert_eq!(reserved(), [""; 0]);
    assert_eq!(names(DATA), ["id-of-p0:net1", "unreadable"]);
}

#[test]
fn gc_frees_what_a_delegate_without_gc_holds() {
    let Some(_) = Plugin::debian("bridge") else {
        return;
    };
    let Some(lab) = lab() else { return };
    let pod = lab.host.pod("one");
    let with_go = |command: &str, version: &str| {
        let conf = conf(json!({"cniVersion": version}));
        let call = lab.call(command, &pod, "eth0", &conf);
        call.env("CNI_PATH", "/usr/lib/cni")
    };
    with_go("ADD", "1.0.0").run().succeeds();
    assert_eq!(reserved().len(), 2);
    pod.remove();
    // The reference's bridge of this version has no GC and says so; its DEL is called all the same.
    let gc = with_go("GC", "1.1.0");
    let stdin = conf(json!({"cni.dev/valid-attachments": []})).to_string();
    gc.stdin(stdin).run().fails();
    assert_eq!((reserved().len(), names(DATA).len()), (0, 0));
}
