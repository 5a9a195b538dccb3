//! What is there, what a key means, and what was probably meant.

use serde_json::Value;

use crate::{Words, configure, host, mynet, netloom, path};

#[test]
fn networks_tell_their_plugins_who_is_attached_and_how_full_their_pools_are() {
    let Some(host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.1.0"));
    let pod = host.pod("testing");
    netloom(&["add", "mynet", path(&pod)]).run().succeeds();
    let told = netloom(&["--json", "networks"]).run().succeeds();
    let network = &told[0];
    assert_eq!(network["name"], "mynet");
    assert_eq!(network["plugins"], serde_json::json!(["bridge"]));
    assert_eq!(network["attachments"], 1);
    assert_eq!(network["pools"][0]["taken"], 1, "{told}");
    let words = netloom(&["networks"]).run().succeeds_with_words();
    for part in ["mynet", "bridge", "1 of 65533", "10-mynet.conf"] {
        assert!(words.contains(part), "no {part:?} in:\n{words}");
    }
}

#[test]
fn a_namespace_may_be_named_as_ip_netns_does_or_by_a_process() {
    let Some(host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.1.0"));
    let pod = host.pod("testing");
    let sleeper = pod.sh("sleep 60 >/dev/null 2>&1 & echo $!");
    let pid = sleeper.trim();
    for name in ["testing", pid] {
        netloom(&["add", "mynet", name]).run().succeeds();
        netloom(&["check", "mynet", path(&pod)])
            .run()
            .succeeds_silently();
        netloom(&["del", "mynet", name]).run().succeeds_silently();
    }
    host.sh(&format!("kill {pid}"));
    let gone = netloom(&["add", "mynet", "nowhere"]).run();
    assert!(gone.stdout.is_empty() || gone.json()["msg"].as_str().is_some());
    gone.fails_with_words(&["/var/run/netns/nowhere"]);
}

#[test]
fn near_names_are_suggested_and_swapped_arguments_noticed() {
    let Some(_host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.1.0"));
    netloom(&["status", "mynte"])
        .run()
        .fails_with_words(&["did you mean \"mynet\"?"]);
    netloom(&["add", "/var/run/netns/x", "mynet"])
        .run()
        .fails_with_words(&["the network's name comes first"]);
    netloom(&["explain", "bridge.isGatway"])
        .run()
        .fails_with_words(&["did you mean \"isGateway\"?"]);
    netloom(&["explain", "brigde"])
        .run()
        .fails_with_words(&["did you mean \"bridge\"?"]);
}

#[test]
fn explain_tells_what_the_reference_page_tells() {
    let told = netloom(&["explain", "bridge.isGateway"])
        .run()
        .succeeds_with_words();
    assert!(
        told.contains("give the bridge the gateways' addresses"),
        "{told}"
    );
    let keys = netloom(&["--json", "explain", "host-local.subnet"])
        .run()
        .succeeds();
    let keys: Vec<&str> = keys
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["key"].as_str().unwrap())
        .collect();
    assert_eq!(keys, ["ranges[][].subnet", "subnet"]);
    // Every plugin that has keys has them here.
    for plugin in netloom_plugins_with_keys() {
        let keys: Value = netloom(&["--json", "explain", &plugin]).run().succeeds();
        assert!(!keys.as_array().unwrap().is_empty(), "{plugin}");
    }
}

/// The plugins whose page has the table.
fn netloom_plugins_with_keys() -> Vec<String> {
    let pages = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/plugins");
    let entries = std::fs::read_dir(pages)
        .unwrap()
        .map(|it| it.unwrap().path());
    let with_keys = entries.filter(|page| {
        std::fs::read_to_string(page)
            .unwrap()
            .contains("\n| key | type | default | meaning |\n")
    });
    with_keys
        .map(|page| page.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn list_shows_long_ids_short_and_since_when() {
    let Some(host) = host() else { return };
    configure("10-mynet.conf", &mynet("1.1.0"));
    let long = "0123456789abcdef".repeat(4);
    let pod = host.pod("testing");
    netloom(&["add", "mynet", path(&pod), "--container-id", &long])
        .run()
        .succeeds();
    let shown = netloom(&["list"]).run().succeeds_with_words();
    assert!(
        shown.contains(" 0123456789ab ") && shown.contains("AGE"),
        "{shown}"
    );
    let json = netloom(&["--json", "list"]).run().succeeds();
    assert_eq!(json[0]["containerID"], long.as_str());
}

#[test]
fn validate_takes_a_file_and_fails_for_what_add_refuses() {
    let Some(_host) = host() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.conf");
    let mut conf = mynet("1.1.0");
    std::fs::write(&file, conf.to_string()).unwrap();
    let file = file.to_str().unwrap();
    netloom(&["validate", file]).run().succeeds_with_words();
    // Vendors' keys are no error.
    conf["brigde"] = "x".into();
    std::fs::write(file, conf.to_string()).unwrap();
    let words = netloom(&["validate", file]).run().succeeds_with_words();
    assert!(words.contains("warning[NL004]"), "{words}");
    conf["isGateway"] = "yes".into();
    std::fs::write(file, conf.to_string()).unwrap();
    netloom(&["validate", file])
        .run()
        .fails_with_words(&["error[NL003]", "isGateway"]);
}
