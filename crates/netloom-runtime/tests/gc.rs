//! GC, STATUS, VERSION and validation with real executables.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::fs::{self, File};
use std::sync::mpsc;
use std::time::Duration;

use netloom_runtime::{CachedAttachment, Error, Judge, Life, Valid, load};
use netloom_spec::{Attachment, Error as CniError, PluginConf};
use serde_json::json;
use support::{Host, chain, host_with_chain, list, rt};

const FAILURE: &str = r#"{"code":50,"msg":"not ready"}"#;

fn attachment(container_id: &str) -> Attachment {
    Attachment {
        container_id: container_id.into(),
        if_name: "eth0".into(),
    }
}

/// A host with the containers c1 and c2 on `net` and c1 on `net-2`.
fn host_with_three() -> Host {
    let host = host_with_chain();
    for (network, container) in [("net", "c1"), ("net", "c2"), ("net-2", "c1")] {
        let rt = rt(container).arg("K", container).capability("mac", "x");
        host.cni().add(&chain(network, "1.1.0"), &rt).unwrap();
    }
    host.log();
    host
}

#[test]
fn gc_deletes_stale_attachments_of_its_network_and_then_asks_every_plugin() {
    let host = host_with_three();
    host.cni()
        .gc(&chain("net", "1.1.0"), Valid::Only(&[attachment("c1")]))
        .unwrap();
    assert_eq!(
        host.log(),
        ["DEL two c2", "DEL one c2", "GC one ", "GC two "]
    );
    assert_eq!(host.cached(), ["net-2-c1-eth0", "net-c1-eth0"]);
    let valid = json!([{"containerID": "c1", "ifname": "eth0"}]);
    let expected = json!({
        "cniVersion": "1.1.0", "name": "net", "type": "one",
        "cni.dev/valid-attachments": valid, "cni.dev/attachments": valid,
    });
    assert_eq!(host.request("one", "GC"), expected);
    let env = host.env("one", "DEL");
    assert!(env.contains(&"CNI_NETNS=/run/netns/c2".into()), "{env:?}");
    assert!(env.contains(&"CNI_ARGS=K=c2".into()), "{env:?}");
    let env = host.env("one", "GC");
    assert!(env.contains(&"CNI_NETNS=".into()), "{env:?}");
    assert!(
        env.iter().any(|line| line.starts_with("CNI_PATH=/")),
        "{env:?}"
    );
}

#[test]
fn gc_without_valid_attachments_deletes_all_and_tells_plugins_none() {
    let host = host_with_three();
    host.cni()
        .gc(&chain("net", "1.1.0"), Valid::Untold)
        .unwrap();
    assert_eq!(host.cached(), ["net-2-c1-eth0"]);
    let expected = json!({"cniVersion": "1.1.0", "name": "net", "type": "one"});
    assert_eq!(host.request("one", "GC"), expected);
    host.cni()
        .gc(&chain("net", "1.1.0"), Valid::Nothing)
        .unwrap();
    assert_eq!(
        host.request("one", "GC")["cni.dev/valid-attachments"],
        json!([])
    );
}

#[test]
fn another_interface_of_a_valid_container_is_stale() {
    let host = host_with_three();
    let mut other = attachment("c1");
    other.if_name = "eth1".into();
    host.cni()
        .gc(
            &chain("net", "1.1.0"),
            Valid::Only(&[other, attachment("c2")]),
        )
        .unwrap();
    assert_eq!(host.cached(), ["net-2-c1-eth0", "net-c2-eth0"]);
}

#[test]
fn gc_goes_on_past_errors_and_reports_them_all() {
    let host = host_with_three();
    host.fail("two", "DEL", r#"{"code":5,"msg":"disk"}"#);
    host.fail("one", "GC", FAILURE);
    let error = host
        .cni()
        .gc(&chain("net", "1.1.0"), Valid::Untold)
        .unwrap_err();
    let expected = "failed to delete stale attachment c1 eth0: \
                    plugin type=\"two\" failed (delete): disk\n\
                    failed to delete stale attachment c2 eth0: \
                    plugin type=\"two\" failed (delete): disk\n\
                    plugin type=\"one\" failed (gc): not ready";
    assert_eq!(error.to_string(), expected);
    assert_eq!(CniError::from(error).code, 5);
    let log = [
        "DEL two c1",
        "DEL one c1",
        "DEL two c2",
        "DEL one c2",
        "GC one ",
        "GC two ",
    ];
    assert_eq!(host.log(), log);
    assert_eq!(
        host.cached().len(),
        3,
        "what failed is tried again next time"
    );
}

#[test]
fn gc_before_1_1_0_only_deletes_stale_attachments() {
    let host = host_with_three();
    host.cni()
        .gc(&chain("net", "1.0.0"), Valid::Only(&[attachment("c1")]))
        .unwrap();
    assert_eq!(host.log(), ["DEL two c2", "DEL one c2"]);
}

#[test]
fn gc_that_is_disabled_does_nothing() {
    let host = host_with_three();
    let mut list = chain("net", "1.1.0");
    list.disable_gc = true;
    host.cni().gc(&list, Valid::Untold).unwrap();
    assert_eq!(host.log(), [""; 0]);
}

#[test]
fn a_stale_attachment_is_deleted_with_the_configuration_it_was_added_with() {
    let host = host_with_three();
    host.plugin("three", "{}");
    let now = list(r#"{"cniVersion":"1.1.0","name":"net","plugins":[{"type":"three"}]}"#);
    host.cni()
        .gc(&now, Valid::Only(&[attachment("c1")]))
        .unwrap();
    let log = [
        "DEL two c2",
        "DEL one c2",
        "GC three ",
        "GC one ",
        "GC two ",
    ];
    assert_eq!(host.log(), log);
}

#[test]
fn plugins_that_the_network_has_no_more_are_asked_once_and_told_the_same() {
    let host = host_with_three();
    let now = list(r#"{"cniVersion":"1.1.0","name":"net","plugins":[{"type":"two"}]}"#);
    let plan = host
        .cni()
        .plan_gc(&now, Valid::Only(&[attachment("c1")]))
        .unwrap();
    assert_eq!(plan.plugins, ["two", "one"]);
    assert_eq!(host.log(), [""; 0], "a plan executes nothing");
    host.cni()
        .gc(&now, Valid::Only(&[attachment("c1"), attachment("c2")]))
        .unwrap();
    assert_eq!(host.log(), ["GC two ", "GC one "]);
    let valid =
        json!([{"containerID": "c1", "ifname": "eth0"}, {"containerID": "c2", "ifname": "eth0"}]);
    assert_eq!(
        host.request("one", "GC")["cni.dev/valid-attachments"],
        valid
    );
}

#[test]
fn an_empty_list_of_valid_attachments_is_refused_and_nothing_is_done() {
    let host = host_with_three();
    let error = host
        .cni()
        .gc(&chain("net", "1.1.0"), Valid::Only(&[]))
        .unwrap_err();
    assert!(error.to_string().contains("\"net\""), "{error}");
    assert!(matches!(error, Error::NothingValid { .. }), "{error:?}");
    assert_eq!((host.log().len(), host.cached().len()), (0, 3));
}

#[test]
fn where_nothing_is_found_alive_the_dead_go_and_the_plugins_are_not_asked() {
    let host = host_with_three();
    let plan = host
        .cni()
        .gc(
            &chain("net", "1.1.0"),
            Valid::Judged(&|_: &CachedAttachment| Life::Gone),
        )
        .unwrap();
    assert!(plan.withheld);
    let log = ["DEL two c1", "DEL one c1", "DEL two c2", "DEL one c2"];
    assert_eq!(host.log(), log);
    assert_eq!(host.cached(), ["net-2-c1-eth0"]);
}

/// Nobody of the cache lives, and somebody else does, of whom one has the name of a cached attachment.
struct Beside;

impl Judge for Beside {
    fn life(&self, _: &CachedAttachment) -> Life {
        Life::Gone
    }

    fn beside(&self, network: &str, plugins: &[PluginConf]) -> Result<Vec<Attachment>, CniError> {
        assert_eq!((network, plugins.len()), ("net", 2));
        Ok(vec![attachment("by-hand"), attachment("c1")])
    }
}

#[test]
fn who_lives_beside_the_cache_is_told_to_the_plugins_and_not_deleted() {
    let host = host_with_three();
    let gc = host
        .cni()
        .gc(&chain("net", "1.1.0"), Valid::Judged(&Beside));
    let plan = gc.unwrap();
    assert!(!plan.withheld);
    assert_eq!(plan.beside.len(), 1, "{plan:?}");
    let log = ["DEL two c2", "DEL one c2", "GC one ", "GC two "];
    assert_eq!(host.log(), log);
    let valid = json!([
        {"containerID": "c1", "ifname": "eth0"}, {"containerID": "by-hand", "ifname": "eth0"}
    ]);
    assert_eq!(
        host.request("one", "GC")["cni.dev/valid-attachments"],
        valid
    );
}

#[test]
fn what_is_found_alive_stays() {
    let host = host_with_three();
    let judge = |it: &CachedAttachment| match it.container_id.as_str() {
        "c1" => Life::Living,
        _ => Life::Gone,
    };
    host.cni()
        .gc(&chain("net", "1.1.0"), Valid::Judged(&judge))
        .unwrap();
    let log = ["DEL two c2", "DEL one c2", "GC one ", "GC two "];
    assert_eq!(host.log(), log);
    let valid = json!([{"containerID": "c1", "ifname": "eth0"}]);
    assert_eq!(
        host.request("one", "GC")["cni.dev/valid-attachments"],
        valid
    );
}

#[test]
fn gc_as_planned_judges_again_and_removes_nothing_that_was_not_planned() {
    let host = host_with_three();
    let net = chain("net", "1.1.0");
    host.cni().add(&net, &rt("c3")).unwrap();
    let only_c1 = |it: &CachedAttachment| match it.container_id.as_str() {
        "c1" => Life::Living,
        _ => Life::Gone,
    };
    let planned = host.cni().plan_gc(&net, Valid::Judged(&only_c1)).unwrap();
    assert_eq!(planned.stale.len(), 2);
    // Since then one came, one ended, and of the planned one lives again.
    host.cni().add(&net, &rt("c4")).unwrap();
    host.log();
    let judge = |it: &CachedAttachment| match it.container_id.as_str() {
        "c2" => Life::Living,
        _ => Life::Gone,
    };
    let done = host
        .cni()
        .gc_as_planned(&net, &planned, Valid::Judged(&judge));
    let done = done.unwrap();
    let log = ["DEL two c3", "DEL one c3", "GC one ", "GC two "];
    assert_eq!(host.log(), log);
    assert_eq!((done.stale.len(), done.valid.len()), (1, 3), "{done:?}");
    let cached = ["net-2-c1-eth0", "net-c1-eth0", "net-c2-eth0", "net-c4-eth0"];
    assert_eq!(host.cached(), cached);
    // Whose DEL was not planned is no orphan for the plugins.
    let told = &host.request("one", "GC")["cni.dev/valid-attachments"];
    for container in ["c1", "c2", "c4"] {
        let valid = json!({"containerID": container, "ifname": "eth0"});
        assert!(told.as_array().unwrap().contains(&valid), "{told}");
    }
    // A plan that asks no plugin stays one.
    let nobody = |_: &CachedAttachment| Life::Gone;
    let planned = host.cni().plan_gc(&net, Valid::Judged(&nobody)).unwrap();
    assert!(planned.withheld && planned.plugins.is_empty());
    let done = host
        .cni()
        .gc_as_planned(&net, &planned, Valid::Judged(&judge));
    assert!(done.unwrap().plugins.is_empty());
    assert_eq!(
        host.log(),
        ["DEL two c1", "DEL one c1", "DEL two c4", "DEL one c4"]
    );
}

#[test]
fn the_path_of_a_namespace_that_another_container_has_now_is_not_told() {
    let host = host_with_chain();
    for container in ["old", "new"] {
        let mut rt = rt(container);
        rt.netns = "/run/netns/shared".into();
        host.cni().add(&chain("net", "1.1.0"), &rt).unwrap();
    }
    host.cni()
        .gc(&chain("net", "1.1.0"), Valid::Only(&[attachment("new")]))
        .unwrap();
    let env = host.env("one", "DEL");
    assert!(env.contains(&"CNI_CONTAINERID=old".into()), "{env:?}");
    assert!(env.contains(&"CNI_NETNS=".into()), "{env:?}");
    assert_eq!(host.cached(), ["net-new-eth0"]);
}

#[test]
fn an_unreadable_entry_is_named_and_what_its_name_tells_of_is_valid() {
    for content in ["", "{", r#"{"kind":"cniCacheV1","config":"e30="}"#] {
        let host = host_with_three();
        host.write("cache/results/net-c-3-eth0", content);
        host.write("cache/results/network-c4-eth0", content);
        host.write("cache/results/other-c5-eth0", content);
        let judge = |it: &CachedAttachment| match it.container_id.as_str() {
            "c1" => Life::Living,
            _ => Life::Gone,
        };
        let error = host
            .cni()
            .gc(&chain("net", "1.1.0"), Valid::Judged(&judge))
            .unwrap_err()
            .to_string();
        assert!(error.contains("results/net-c-3-eth0"), "{error}");
        assert!(!error.contains("c4") && !error.contains("c5"), "{error}");
        let log = ["DEL two c2", "DEL one c2", "GC one ", "GC two "];
        assert_eq!(host.log(), log);
        let valid = host.request("one", "GC")["cni.dev/valid-attachments"].clone();
        assert!(
            valid
                .as_array()
                .unwrap()
                .contains(&json!({"containerID": "c-3", "ifname": "eth0"}))
        );
        assert!(host.exists("cache/results/net-c-3-eth0"));
        let survey = host.cni().survey_cache().unwrap();
        assert_eq!((survey.attachments.len(), survey.unreadable.len()), (2, 3));
    }
}

#[test]
fn a_stale_attachment_without_a_usable_configuration_is_deleted_with_the_current_one() {
    for config in ["", "e30=", "bm90IGpzb24="] {
        let host = host_with_chain();
        let entry = format!(
            r#"{{"kind":"cniCacheV1","containerId":"c9","config":"{config}","ifName":"eth0","networkName":"net"}}"#
        );
        host.write("cache/results/net-c9-eth0", &entry);
        host.cni()
            .gc(&chain("net", "1.1.0"), Valid::Nothing)
            .unwrap();
        assert_eq!(host.log()[..2], ["DEL two c9", "DEL one c9"]);
        assert_eq!(host.cached(), [""; 0]);
    }
}

#[test]
fn plugins_beside_the_list_take_part_in_the_delete_of_a_stale_attachment() {
    let host = host_with_chain();
    host.write(
        "conf/net.conflist",
        r#"{"cniVersion":"1.1.0","name":"net","plugins":[{"type":"one"}]}"#,
    );
    host.write("conf/net/two.conf", r#"{"type":"two"}"#);
    let list = load::find_by_name(host.path("conf"), "net").unwrap();
    host.cni().add(&list, &rt("c1")).unwrap();
    host.log();
    host.cni().gc(&list, Valid::Untold).unwrap();
    assert_eq!(
        host.log(),
        ["DEL two c1", "DEL one c1", "GC one ", "GC two "]
    );
}

#[test]
fn an_unreadable_cache_is_reported_and_the_plugins_are_asked_all_the_same() {
    let host = host_with_chain();
    fs::create_dir_all(host.path("cache")).unwrap();
    host.write("cache/results", "a file where a directory should be");
    let error = host
        .cni()
        .gc(&chain("net", "1.1.0"), Valid::Untold)
        .unwrap_err();
    assert!(
        matches!(error, Error::CachedAttachments { .. }),
        "{error:?}"
    );
    assert_eq!(host.log(), ["GC one ", "GC two "]);
}

#[test]
fn gc_waits_for_an_add_of_its_network_to_end_and_not_for_one_of_another() {
    let host = Host::new();
    let fifo = host.path("record/go");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    host.script(
        "slow",
        "#!/bin/sh\ndir=${0%/*}/../record\n\
         if [ $CNI_COMMAND = ADD ]; then : >\"$dir/go\"; read x <\"$dir/go\"; echo '{}'; fi\n\
         echo $CNI_COMMAND >>\"$dir/log\"\n",
    );
    let of = |name: &str| {
        list(&format!(
            r#"{{"cniVersion":"1.1.0","name":"{name}","plugins":[{{"type":"slow"}}]}}"#
        ))
    };
    let (cni, net, other) = (host.cni(), of("net"), of("other"));
    std::thread::scope(|scope| {
        scope.spawn(|| cni.add(&net, &rt("c1")).unwrap());
        // The plugin opens the pipe: ADD is under way.
        File::open(&fifo).unwrap();
        cni.gc(&other, Valid::Untold).unwrap();
        assert_eq!(host.log(), ["GC"]);
        let (done, collected) = mpsc::channel();
        let (cni, net) = (&cni, &net);
        scope.spawn(move || {
            done.send(cni.gc(net, Valid::Only(&[attachment("c1")])))
                .unwrap()
        });
        let early = collected.recv_timeout(Duration::from_millis(200));
        fs::write(&fifo, "go\n").unwrap();
        assert!(early.is_err(), "GC ran beside ADD");
        collected.recv().unwrap().unwrap();
    });
    assert_eq!(host.log(), ["ADD", "GC"]);
}

#[test]
fn status_asks_in_order_and_stops_at_the_first_error_with_its_code() {
    let host = host_with_chain();
    let (cni, list) = (host.cni(), chain("net", "1.1.0"));
    cni.status(&list).unwrap();
    assert_eq!(host.log(), ["STATUS one ", "STATUS two "]);
    let expected = json!({"cniVersion": "1.1.0", "name": "net", "type": "two"});
    assert_eq!(host.request("two", "STATUS"), expected);
    host.fail("one", "STATUS", FAILURE);
    let error = cni.status(&list).unwrap_err();
    assert_eq!(error.code(), 50);
    assert_eq!(
        error.to_string(),
        r#"plugin type="one" failed (status): not ready"#
    );
    assert_eq!(host.log(), ["STATUS one "]);
    cni.status(&chain("net", "1.0.0")).unwrap();
    assert_eq!(host.log(), [""; 0]);
}

#[test]
fn validation_wants_the_exact_version_of_every_plugin_and_sorts_capabilities() {
    let host = host_with_chain();
    let list = list(
        r#"{"cniVersion":"1.1.0","name":"net","plugins":[
            {"type":"one","capabilities":{"mac":true,"ips":true,"no":false}},
            {"type":"two","capabilities":{"mac":true,"aliases":true}}]}"#,
    );
    assert_eq!(
        host.cni().validate(&list).unwrap(),
        ["aliases", "ips", "mac"]
    );
    host.write("record/two.version", r#"{"cniVersion":"0.2.0"}"#);
    fs::remove_file(host.path("bin/one")).unwrap();
    let error = host.cni().validate(&list).unwrap_err().to_string();
    let lines: Vec<_> = error.lines().collect();
    assert!(
        lines[0].contains(r#"failed to find plugin "one" in path"#),
        "{error}"
    );
    assert_eq!(
        lines[1],
        r#"plugin two does not support config version "1.1.0": it supports ["0.1.0", "0.2.0"]"#
    );
}

#[test]
fn a_configuration_without_a_version_is_validated_as_0_1_0() {
    let host = host_with_chain();
    host.write("record/one.version", r#"{"cniVersion":"0.2.0"}"#);
    let list = list(r#"{"name":"net","plugins":[{"type":"one"}]}"#);
    assert_eq!(host.cni().validate(&list).unwrap(), [""; 0]);
}

#[test]
fn versions_are_told_for_each_plugin() {
    let host = host_with_chain();
    fs::remove_file(host.path("bin/one")).unwrap();
    let versions = host.cni().versions(&chain("net", "1.1.0"));
    assert!(versions[0].0 == "one" && versions[0].1.is_err());
    assert_eq!(
        versions[1].1.as_ref().unwrap().supported_versions,
        ["1.0.0", "1.1.0"]
    );
    assert_eq!(host.cni().version_info("two").unwrap().cni_version, "1.1.0");
    assert!(host.cni().version_info("../two").is_err());
}
