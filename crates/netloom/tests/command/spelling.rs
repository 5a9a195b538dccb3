//! An attachment is known by its namespace and by how it was added, whatever its path is called now.

use std::fs;
use std::path::Path;

use crate::{CONF_DIR, Words, configure, host, mynet, netloom, path, reserved, shell_plugin};
use netloom_testkit::{Host, Pod};
use serde_json::{Value, json};

fn added() -> Option<(Host, Pod)> {
    let host = host()?;
    configure("10-mynet.conf", &mynet("1.1.0"));
    let pod = host.pod("testing");
    netloom(&["add", "mynet", path(&pod)]).run().succeeds();
    Some((host, pod))
}

fn is_gone(host: &Host) -> bool {
    let cached = Path::new("/var/lib/cni/results").read_dir().unwrap();
    let cached = cached.filter(|it| {
        !it.as_ref()
            .unwrap()
            .file_name()
            .as_encoded_bytes()
            .starts_with(b".")
    });
    host.ip("-br link show type veth").is_empty()
        && reserved("mynet").is_empty()
        && cached.count() == 0
}

#[test]
fn an_attachment_is_found_by_every_spelling_of_its_namespace() {
    let Some((host, pod)) = added() else { return };
    let holder = fs::File::open(pod.path()).unwrap();
    let own = std::process::id();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&holder);
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link");
    std::os::unix::fs::symlink(pod.path(), &link).unwrap();
    let bound = elsewhere.path().join("bound");
    fs::write(&bound, "").unwrap();
    host.sh(&format!("mount --bind {} {}", path(&pod), bound.display()));
    let dir = pod.path().parent().unwrap().display();
    let name = pod.path().file_name().unwrap().to_str().unwrap();
    let spellings = [
        link.display().to_string(),
        bound.display().to_string(),
        format!("/proc/{own}/fd/{fd}"),
        format!("{dir}//./x/../{name}"),
    ];
    for spelling in &spellings {
        netloom(&["check", "mynet", spelling])
            .run()
            .succeeds_silently();
        netloom(&["del", "mynet", spelling])
            .run()
            .succeeds_silently();
        assert!(is_gone(&host), "{spelling}");
        netloom(&["add", "mynet", path(&pod)]).run().succeeds();
    }
    netloom(&["del", "mynet", path(&pod)])
        .run()
        .succeeds_silently();
    assert!(is_gone(&host));
    host.sh(&format!("umount {}", bound.display()));
}

#[test]
fn del_and_check_use_the_configuration_of_add_where_the_file_was_changed_or_removed() {
    let Some(host) = host() else { return };
    let pod = host.pod("testing");
    let mut moved = mynet("1.1.0");
    moved["ipam"]["dataDir"] = json!("/run/former");
    let former = |file: &str| Path::new("/run/former/mynet").join(file).exists();
    for change in [Some(mynet("1.1.0")), None] {
        configure("10-mynet.conf", &moved);
        netloom(&["add", "mynet", path(&pod)]).run().succeeds();
        assert!(former("10.16.0.2"));
        match &change {
            Some(conf) => configure("10-mynet.conf", conf),
            None => fs::remove_file(Path::new(CONF_DIR).join("10-mynet.conf")).unwrap(),
        }
        netloom(&["check", "mynet", path(&pod)])
            .run()
            .succeeds_silently();
        let del = netloom(&["del", "mynet", path(&pod)]).run();
        del.succeeds_silently();
        assert!(del.stderr.contains("the one of ADD is used"), "{del}");
        assert!(
            !former("10.16.0.2"),
            "the address is free again: {change:?}"
        );
        assert!(is_gone(&host));
        fs::remove_dir_all("/run/former").unwrap();
    }
}

#[test]
fn del_gives_the_plugins_the_arguments_of_add() {
    let Some(host) = host() else { return };
    let pod = host.pod("testing");
    teller();
    configure("10-t.conf", &telling(&[]));
    let add = netloom(&["add", "tell", path(&pod)]);
    add.env("CNI_ARGS", "K=V")
        .env("CAP_ARGS", r#"{"mac": "02:00:00:00:00:01"}"#)
        .run()
        .succeeds();
    let del = netloom(&["del", "tell", path(&pod)]).run();
    assert!(del.stderr.contains("DEL K=V"), "{del}");
    assert!(del.stderr.contains("02:00:00:00:00:01"), "{del}");
}

/// A plugin that says what it was told, and fails in ADD where its configuration says so.
fn teller() {
    shell_plugin(
        "teller",
        "#!/bin/sh\n\
         conf=$(cat)\n\
         echo \"$CNI_COMMAND $CNI_ARGS $conf\" >&2\n\
         [ \"$CNI_COMMAND\" = ADD ] || exit 0\n\
         case $conf in *failing*) echo '{\"code\": 100, \"msg\": \"I fail\"}'; exit 1;; esac\n\
         echo \"$conf\" | jq -c '.prevResult // {cniVersion}'\n",
    );
}

fn telling(before: &[Value]) -> Value {
    let own = json!({"type": "teller", "capabilities": {"mac": true}, "note": "failing"});
    match before {
        [] => {
            json!({"cniVersion": "1.0.0", "name": "tell", "type": "teller", "capabilities": {"mac": true}})
        }
        before => {
            let plugins = [before, &[own]].concat();
            json!({"cniVersion": "1.0.0", "name": "tell", "plugins": plugins})
        }
    }
}

fn bridge() -> Value {
    let mut bridge = mynet("1.0.0");
    let own = |key: &String, _: &mut Value| key != "name" && key != "cniVersion";
    bridge.as_object_mut().unwrap().retain(own);
    bridge
}

#[test]
fn an_add_that_fails_in_the_middle_of_a_list_deletes_what_it_added_and_says_so() {
    let Some(host) = host() else { return };
    let pod = host.pod("testing");
    teller();
    configure("10-t.conflist", &telling(&[bridge()]));
    let add = netloom(&["add", "tell", path(&pod)]).run();
    add.fails_with_words(&["I fail", "what bridge had added was deleted", "DEL "]);
    assert_eq!(host.ip("-br link show type veth"), "");
    assert_eq!(reserved("tell"), Vec::<String>::new());
}

#[test]
fn a_second_add_that_fails_deletes_nothing_of_the_first() {
    let Some(host) = host() else { return };
    let (pod, other) = (host.pod("testing"), host.pod("other"));
    teller();
    let mut single = mynet("1.0.0");
    single["name"] = json!("tell");
    configure("10-t.conf", &single);
    let first = ["add", "tell", path(&pod), "--container-id", "one"];
    netloom(&first).run().succeeds();
    fs::remove_file(Path::new(CONF_DIR).join("10-t.conf")).unwrap();
    configure("10-t.conflist", &telling(&[json!({"type": "teller"})]));
    // The link of the first has the second's name, or the second has the id of the first.
    for second in [
        ["add", "tell", path(&pod), "--container-id", "two"],
        ["add", "tell", path(&other), "--container-id", "one"],
    ] {
        let add = netloom(&second).run();
        add.fails_with_words(&["I fail", "is not deleted", "before"]);
        assert!(!add.stderr.contains("DEL "), "{add}");
    }
    assert!(pod.pings([10, 16, 0, 1]));
    assert_eq!(reserved("tell"), ["10.16.0.2"]);
}

#[test]
fn del_of_what_was_never_attached_says_so_and_names_what_is() {
    let Some((host, pod)) = added() else { return };
    let del = netloom(&["del", "mynet", path(&pod), "-i", "eth7"]).run();
    del.succeeds_silently();
    for part in ["no attachment", "\"eth7\"", "network \"mynet\" as \"eth0\""] {
        assert!(del.stderr.contains(part), "no {part} in {del}");
    }
    let other = host.pod("other");
    let del = netloom(&["del", "mynet", path(&other)]).run();
    assert!(del.stderr.contains(": nothing"), "{del}");
    let del = netloom(&["del", "mynet", path(&pod)]).run();
    assert_eq!(del.stderr, "");
}

#[test]
fn list_of_an_unknown_network_says_that_it_is_unknown() {
    let Some((_host, _pod)) = added() else { return };
    let list = netloom(&["list", "nonet"]).run();
    assert!(list.is_success(), "{list}");
    assert!(
        list.stderr
            .contains("nothing is attached to network \"nonet\""),
        "{list}"
    );
    assert_eq!(netloom(&["list", "mynet"]).run().stderr, "");
}

#[test]
fn a_capability_that_no_plugin_of_the_list_declares_is_named() {
    let Some(host) = host() else { return };
    let pod = host.pod("testing");
    let ports = r#"{"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}"#;
    for (declared, named) in [(false, true), (true, false)] {
        let portmap = json!({"type": "portmap", "backend": "nftables",
            "capabilities": {"portMappings": declared}});
        configure(
            "10-mynet.conflist",
            &json!({"cniVersion": "1.0.0", "name": "mynet", "plugins": [bridge(), portmap]}),
        );
        let add = netloom(&["add", "mynet", path(&pod)])
            .env("CAP_ARGS", ports)
            .run();
        add.succeeds();
        assert_eq!(add.stderr.contains("portMappings"), named, "{add}");
        netloom(&["del", "mynet", path(&pod)])
            .run()
            .succeeds_silently();
    }
}
