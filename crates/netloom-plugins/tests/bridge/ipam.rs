use crate::support::Lab;
use serde_json::json;

#[test]
fn the_ipam_plugin_receives_the_whole_request() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let conf = lab.routed(json!({"ipam": {"type": "fixed", "own": [1, 2]}, "foreign": {"a": "b"}}));
    lab.bridge.add(&conf, &pod).succeeds();
    assert_eq!(lab.ipam.request(), conf);
}

#[test]
fn check_status_and_gc_are_forwarded() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let conf = lab.routed(json!({}));
    let result = lab.bridge.add(&conf, &pod).succeeds();
    lab.bridge.check(&conf, &result, &pod).succeeds_silently();
    lab.bridge.status(&conf).succeeds_silently();
    lab.bridge.gc(&conf, &[]).succeeds_silently();
    assert_eq!(lab.ipam.request()["cni.dev/valid-attachments"], json!([]));
    assert_eq!(lab.ipam.calls(), ["ADD", "CHECK", "STATUS", "GC"]);
}

#[test]
fn an_error_of_the_ipam_plugin_passes_through_untouched() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let conf = lab.routed(json!({}));
    let result = lab.bridge.add(&conf, &pod).succeeds();
    for command in ["CHECK", "STATUS", "GC", "ADD", "DEL"] {
        lab.ipam.fails(command, &format!("no {command} today"));
    }
    let text = |command: &str| format!("no {command} today");
    lab.bridge
        .check(&conf, &result, &pod)
        .fails_with(123)
        .names(&[&text("CHECK")]);
    lab.bridge
        .status(&conf)
        .fails_with(123)
        .names(&[&text("STATUS")]);
    lab.bridge
        .gc(&conf, &[])
        .fails_with(123)
        .names(&[&text("GC")]);
    lab.bridge
        .del(&conf, &pod)
        .fails_with(123)
        .names(&[&text("DEL")]);
    assert!(
        !pod.ip("-o link").contains("eth0"),
        "DEL goes on past the error"
    );
    lab.bridge
        .add(&conf, &pod)
        .fails_with(123)
        .names(&[&text("ADD"), &text("DEL")]);
    assert!(
        !pod.ip("-o link").contains("eth0"),
        "the veth is taken back"
    );
}

#[test]
fn a_missing_ipam_plugin_is_named() {
    let Some(lab) = Lab::new() else { return };
    let pod = lab.host.pod("one");
    let conf = lab.conf(json!({"ipam": {"type": "nowhere"}}));
    lab.bridge
        .add(&conf, &pod)
        .fails()
        .names(&["failed to find plugin \"nowhere\" in path"]);
    assert!(!pod.ip("-o link").contains("eth0"));
    lab.bridge.status(&conf).fails().names(&["nowhere"]);
}

#[test]
fn without_ipam_status_and_gc_succeed() {
    let Some(lab) = Lab::new() else { return };
    lab.bridge.status(&lab.conf(json!({}))).succeeds_silently();
    lab.bridge.gc(&lab.conf(json!({})), &[]).succeeds_silently();
}
