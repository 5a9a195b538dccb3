//! The cache: its format, what it tolerates, what can be asked of it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use netloom_runtime::{CacheError, Cni, Error, RuntimeConf};
use netloom_spec::Version;
use serde_json::json;
use support::{Host, chain, host_with_chain, list, rt};

const CACHED: &str = "cache/results/net-c1-eth0";

#[test]
fn an_entry_is_byte_for_byte_as_libcni_writes_it() {
    let host = host_with_chain();
    let list = list(
        r#"{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"one","capabilities":{"mac":true}}]}"#,
    );
    let rt = rt("c1")
        .arg("IgnoreUnknown", "1")
        .arg("K", "v")
        .capability("mac", "x");
    host.cni()
        .add(&list, &rt.capability("aliases", json!({"net": ["b", "a"]})))
        .unwrap();
    let config = base64::engine::general_purpose::STANDARD.encode(&list.bytes);
    let expected = format!(
        r#"{{"kind":"cniCacheV1","containerId":"c1","config":"{config}","ifName":"eth0","networkName":"net","netns":"/run/netns/c1","cniArgs":[["IgnoreUnknown","1"],["K","v"]],"capabilityArgs":{{"aliases":{{"net":["b","a"]}},"mac":"x"}},"result":{{"cniVersion":"1.0.0","ips":[{{"address":"10.0.0.2/24"}}]}}}}"#
    );
    assert_eq!(host.read(CACHED), expected);
    let mode = |name| fs::metadata(host.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(CACHED), mode("cache/results")), (0o600, 0o700));
    assert_eq!(host.cached(), ["net-c1-eth0"]);
}

#[test]
fn what_is_empty_is_left_out_of_an_entry() {
    let host = host_with_chain();
    let list = list(r#"{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"one"}]}"#);
    host.cni()
        .add(&list, &RuntimeConf::new("c1", "", "eth0"))
        .unwrap();
    let entry: serde_json::Value = serde_json::from_str(&host.read(CACHED)).unwrap();
    let keys: Vec<_> = entry.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "config",
            "containerId",
            "ifName",
            "kind",
            "networkName",
            "result"
        ]
    );
}

/// As written by libcni 1.1: unknown members and null are possible.
const FOREIGN: &str = r#"{"kind":"cniCacheV1","containerId":"c1","config":"eyJhIjoxfQ==","ifName":"eth0","networkName":"net","netns":"/proc/7/ns/net","cniArgs":[["A","1"]],"capabilityArgs":{"mac":"x"},"result":{"cniVersion":"0.4.0","dns":{},"ips":[{"version":"4","address":"10.0.0.9/24"}]},"new":1}"#;

#[test]
fn an_entry_without_netns_is_where_its_result_says() {
    let host = host_with_chain();
    let interfaces = r#""interfaces":[{"name":"cni0"},{"name":"eth0"},{"name":"eth0","sandbox":"/run/netns/c1"}],"#;
    let entry = FOREIGN.replace(r#""netns":"/proc/7/ns/net","#, "");
    host.write(CACHED, &entry);
    assert_eq!(host.cni().cached_attachments(None).unwrap()[0].netns, "");
    host.write(CACHED, &entry.replace(r#""dns":{},"#, interfaces));
    let cached = host.cni().cached_attachments(None).unwrap();
    assert_eq!(cached[0].netns, "/run/netns/c1");
}

#[test]
fn an_entry_of_libcni_is_read() {
    let host = host_with_chain();
    host.write(CACHED, FOREIGN);
    let (cni, list) = (host.cni(), chain("net", "1.1.0"));
    let result = cni.cached_result(&list, &rt("c1")).unwrap().unwrap();
    assert_eq!(
        result.cni_version,
        Version::V1_1_0,
        "converted to the configuration's"
    );
    assert_eq!(result.ips[0].address.to_string(), "10.0.0.9/24");
    let asked = rt("c1").arg("B", "2").capability("ips", json!([]));
    let (config, then) = cni.cached_config(&list, &asked).unwrap().unwrap();
    assert_eq!(config, br#"{"a":1}"#);
    assert_eq!(then, rt("c1").arg("A", "1").capability("mac", "x"));
    let cached = cni.cached_attachments(None).unwrap();
    assert_eq!(cached.len(), 1);
    assert_eq!(
        (&*cached[0].network, &*cached[0].netns),
        ("net", "/proc/7/ns/net")
    );
}

#[test]
fn arguments_of_the_caller_stay_if_the_entry_has_none() {
    let host = host_with_chain();
    let (cni, list) = (host.cni(), chain("net", "1.1.0"));
    cni.add(&list, &rt("c1")).unwrap();
    let asked = rt("c1").arg("B", "2").capability("mac", "x");
    let (config, then) = cni.cached_config(&list, &asked).unwrap().unwrap();
    assert_eq!(config, list.bytes);
    assert_eq!(then, rt("c1").arg("B", "2"));
}

#[test]
fn a_bare_result_of_the_old_format_is_read_as_result_only() {
    let host = host_with_chain();
    let bare = r#"{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.0.0.9/24"}]}"#;
    host.write(CACHED, bare);
    let (cni, list) = (host.cni(), chain("net", "0.4.0"));
    assert_eq!(
        cni.cached_result(&list, &rt("c1"))
            .unwrap()
            .unwrap()
            .ips
            .len(),
        1
    );
    let error = cni.cached_config(&list, &rt("c1")).unwrap_err();
    assert!(
        error.to_string().contains("has wrong kind: none"),
        "{error}"
    );
    assert_eq!(cni.cached_attachments(None).unwrap(), []);
    cni.del(&list, &rt("c1")).unwrap();
    assert_eq!(
        host.request("one", "DEL")["prevResult"]["ips"][0]["address"],
        "10.0.0.9/24"
    );
    assert_eq!(host.cached(), [""; 0]);
}

#[test]
fn nothing_cached_is_no_error() {
    let host = host_with_chain();
    let (cni, list) = (host.cni(), chain("net", "1.1.0"));
    assert_eq!(cni.cached_result(&list, &rt("c1")).unwrap(), None);
    assert_eq!(cni.cached_config(&list, &rt("c1")).unwrap(), None);
    assert_eq!(cni.cached_attachments(None).unwrap(), []);
    cni.check(&list, &rt("c1")).unwrap();
    assert_eq!(host.request("one", "CHECK").get("prevResult"), None);
}

#[test]
fn a_corrupt_entry_fails_check_but_not_del_which_removes_it() {
    for corrupt in ["", "{", "[]", "\0\0\0\0", r#"{"kind":"cniCacheV1","cont"#] {
        let host = host_with_chain();
        host.write(CACHED, corrupt);
        let (cni, list) = (host.cni(), chain("net", "1.1.0"));
        let error = cni.check(&list, &rt("c1")).unwrap_err();
        let start = r#"failed to get network "net" cached result: "#;
        assert!(error.to_string().starts_with(start), "{error}");
        assert!(cni.cached_config(&list, &rt("c1")).is_err());
        assert_eq!(cni.cached_attachments(None).unwrap(), []);
        cni.del(&list, &rt("c1")).unwrap();
        assert_eq!(host.log(), ["DEL two c1", "DEL one c1"]);
        assert_eq!(host.request("one", "DEL").get("prevResult"), None);
        assert_eq!(host.cached(), [""; 0], "{corrupt:?}");
    }
}

#[test]
fn a_corrupt_entry_survives_a_del_that_fails() {
    let host = host_with_chain();
    host.write(CACHED, "");
    host.fail("two", "DEL", r#"{"code":5,"msg":"m"}"#);
    host.cni()
        .del(&chain("net", "1.1.0"), &rt("c1"))
        .unwrap_err();
    assert_eq!(host.cached(), ["net-c1-eth0"]);
}

#[test]
fn a_result_that_cannot_be_converted_fails_check_and_is_ignored_by_del() {
    let host = host_with_chain();
    host.write(CACHED, &FOREIGN.replace("10.0.0.9/24", "ten"));
    let (cni, list) = (host.cni(), chain("net", "1.1.0"));
    assert!(matches!(
        cni.check(&list, &rt("c1")),
        Err(Error::CachedResult {
            cause: CacheError::Result(_),
            ..
        })
    ));
    cni.del(&list, &rt("c1")).unwrap();
    assert_eq!(host.cached(), [""; 0]);
}

#[test]
fn attachments_whose_names_join_to_the_same_are_kept_apart() {
    let host = host_with_chain();
    let cni = host.cni();
    let (one, other) = (chain("a", "1.1.0"), chain("a-b", "1.1.0"));
    let (one_rt, other_rt) = (rt("b-c").arg("WHO", "one"), rt("c").arg("WHO", "other"));
    cni.add(&one, &one_rt).unwrap();
    cni.add(&other, &other_rt).unwrap();
    assert_eq!(host.cached(), ["a-b+c+eth0", "a-b-c-eth0"]);
    let (config, then) = cni.cached_config(&one, &rt("b-c")).unwrap().unwrap();
    assert_eq!((config, then), (one.bytes.clone(), one_rt));
    let (config, then) = cni.cached_config(&other, &rt("c")).unwrap().unwrap();
    assert_eq!((config, then), (other.bytes.clone(), other_rt));
    assert_eq!(cni.cached_attachments(Some("c")).unwrap().len(), 1);
    cni.del(&one, &rt("b-c")).unwrap();
    assert_eq!(cni.cached_config(&one, &rt("b-c")).unwrap(), None);
    assert!(cni.cached_result(&other, &rt("c")).unwrap().is_some());
    cni.del(&other, &rt("c")).unwrap();
    assert_eq!(host.cached(), [""; 0]);
}

#[test]
fn del_of_one_does_not_forget_the_other_of_the_same_file_name() {
    let host = host_with_chain();
    let cni = host.cni();
    cni.add(&chain("a", "1.1.0"), &rt("b-c")).unwrap();
    cni.del(&chain("a-b", "1.1.0"), &rt("c")).unwrap();
    assert_eq!(host.request("one", "DEL").get("prevResult"), None);
    assert_eq!(host.cached(), ["a-b-c-eth0"]);
}

#[test]
fn attachments_are_listed_by_file_name_and_filtered_by_container() {
    let host = host_with_chain();
    let cni = host.cni();
    for (network, container) in [("z", "c1"), ("a", "c1"), ("a", "c2"), ("m", "x-c1-y")] {
        cni.add(&chain(network, "1.1.0"), &rt(container)).unwrap();
    }
    for (name, content) in [
        ("empty-c1-eth0", ""),
        ("other-c1-eth0", r#"{"kind":"other"}"#),
        (
            "incomplete-c1-eth0",
            r#"{"kind":"cniCacheV1","containerId":"c1","ifName":"eth0"}"#,
        ),
        (".tmp-0123", FOREIGN),
    ] {
        host.write(&format!("cache/results/{name}"), content);
    }
    let found = |id| {
        let cached = cni.cached_attachments(id).unwrap();
        cached
            .iter()
            .map(|it| format!("{} {}", it.network, it.container_id))
            .collect::<Vec<_>>()
    };
    assert_eq!(found(None), ["a c1", "a c2", "m x-c1-y", "z c1"]);
    assert_eq!(found(Some("c1")), ["a c1", "z c1"]);
    assert_eq!(found(Some("none")), [""; 0]);
}

#[test]
fn the_directory_of_the_runtime_conf_is_used_if_there_is_no_other() {
    let host = host_with_chain();
    let cni = Cni::new([host.path("bin")]);
    let mut rt = rt("c1");
    rt.cache_dir = Some(host.path("theirs"));
    cni.add(&chain("net", "1.1.0"), &rt).unwrap();
    assert!(host.exists("theirs/results/net-c1-eth0"));
    host.cni().add(&chain("net", "1.1.0"), &rt).unwrap();
    assert!(host.exists(CACHED));
}

#[test]
fn an_entry_without_a_complete_name_cannot_be_asked_for() {
    let error = Host::new()
        .cni()
        .cached_result(&chain("net", "1.1.0"), &RuntimeConf::default());
    let expected = r#"failed to get network "net" cached result: cache file path requires network name ("net"), container ID (""), and interface name ("")"#;
    assert_eq!(error.unwrap_err().to_string(), expected);
}
