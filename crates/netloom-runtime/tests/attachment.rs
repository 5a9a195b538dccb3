//! ADD, CHECK and DEL with real executables.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use netloom_invoke::{InProcessExec, TraceContext};
use netloom_runtime::{Cni, DelMode, Error, RuntimeConf};
use netloom_spec::{Error as CniError, PluginConf, Version};
use serde_json::json;
use support::{Host, chain, host_with_chain, list, rt};

const FAILURE: &str = r#"{"code":11,"msg":"busy","details":"later"}"#;

#[test]
fn add_runs_the_chain_in_order_and_hands_each_result_on() {
    let host = host_with_chain();
    let result = host.cni().add(&chain("net", "1.1.0"), &rt("c1")).unwrap();
    assert_eq!(host.log(), ["ADD one c1", "ADD two c1"]);
    assert_eq!(
        host.request("one", "ADD"),
        json!({"cniVersion":"1.1.0","name":"net","type":"one"})
    );
    let expected = json!({
        "cniVersion": "1.1.0", "name": "net", "type": "two",
        "prevResult": {"cniVersion": "1.1.0", "ips": [{"address": "10.0.0.2/24"}]},
    });
    assert_eq!(host.request("two", "ADD"), expected);
    assert_eq!(result.ips.len(), 2);
}

/// Only the runtime knows one: what a file says of another pod must not lead this one's plugins.
#[test]
fn a_prev_result_in_a_plugins_own_configuration_is_dropped() {
    let host = host_with_chain();
    let list = list(
        r#"{"cniVersion":"1.1.0","name":"net","plugins":[
            {"type":"one","prevResult":{"cniVersion":"1.1.0","ips":[{"address":"10.9.0.9/24"}]}},
            {"type":"two","prevResult":{"cniVersion":"1.1.0","ips":[{"address":"10.9.0.9/24"}]}}]}"#,
    );
    host.cni().add(&list, &rt("c1")).unwrap();
    assert_eq!(host.request("one", "ADD").get("prevResult"), None);
    let of_two = &host.request("two", "ADD")["prevResult"]["ips"];
    assert_eq!(of_two, &json!([{"address": "10.0.0.2/24"}]));
    host.cni().del(&list, &rt("c1")).unwrap();
    let of_one = &host.request("one", "DEL")["prevResult"]["ips"];
    assert_eq!(of_one.as_array().unwrap().len(), 2, "that of the chain");
}

#[test]
fn plugins_get_the_six_variables_and_the_trace() {
    let host = host_with_chain();
    let trace = TraceContext {
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
        tracestate: "a=b".into(),
        baggage: "k=v".into(),
    };
    let rt = rt("c1").arg("IgnoreUnknown", "1").arg("K", "v");
    host.cni()
        .trace_context(trace)
        .add(&chain("net", "1.1.0"), &rt)
        .unwrap();
    let expected = [
        "BAGGAGE=k=v".to_owned(),
        "CNI_ARGS=IgnoreUnknown=1;K=v".to_owned(),
        "CNI_COMMAND=ADD".to_owned(),
        "CNI_CONTAINERID=c1".to_owned(),
        "CNI_IFNAME=eth0".to_owned(),
        "CNI_NETNS=/run/netns/c1".to_owned(),
        format!("CNI_PATH={}", host.path("bin").display()),
        "TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        "TRACESTATE=a=b".to_owned(),
    ];
    assert_eq!(host.env("two", "ADD"), expected);
}

#[test]
fn prev_result_is_in_the_configurations_version_whatever_the_plugin_answers() {
    let host = host_with_chain();
    host.cni().add(&chain("net", "0.4.0"), &rt("c1")).unwrap();
    let expected = json!({
        "cniVersion": "0.4.0", "dns": {}, "ips": [{"version": "4", "address": "10.0.0.2/24"}],
    });
    assert_eq!(host.request("two", "ADD")["prevResult"], expected);
}

#[test]
fn capabilities_become_runtime_config_and_are_not_passed_on() {
    let host = host_with_chain();
    let list = list(
        r#"{"cniVersion":"1.0.0","name":"net","plugins":[
            {"type":"one","capabilities":{"mac":true,"portMappings":false}},{"type":"two"}]}"#,
    );
    let rt = rt("c1")
        .capability("mac", "02:00:00:00:00:01")
        .capability("portMappings", json!([]));
    host.cni().add(&list, &rt).unwrap();
    let expected = json!({
        "cniVersion": "1.0.0", "name": "net", "type": "one",
        "runtimeConfig": {"mac": "02:00:00:00:00:01"},
    });
    assert_eq!(host.request("one", "ADD"), expected);
    assert_eq!(host.request("two", "ADD").get("runtimeConfig"), None);
}

#[test]
fn a_failed_add_names_the_plugin_keeps_its_error_and_caches_nothing() {
    let host = host_with_chain();
    host.fail("two", "ADD", FAILURE);
    let error = host
        .cni()
        .add(&chain("net", "1.1.0"), &rt("c1"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"plugin type="two" failed (add): busy; later"#
    );
    let error = CniError::from(error);
    assert_eq!(error.code, 11);
    assert_eq!(error.msg, r#"plugin type="two" failed (add): busy"#);
    assert_eq!(error.details, "later");
    assert_eq!(host.cached(), [""; 0]);
    assert_eq!(
        host.log(),
        ["ADD one c1", "ADD two c1"],
        "nothing is undone"
    );
}

#[test]
fn a_missing_plugin_is_found_out_before_any_is_executed() {
    let host = host_with_chain();
    std::fs::remove_file(host.path("bin/two")).unwrap();
    let error = host
        .cni()
        .add(&chain("net", "1.1.0"), &rt("c1"))
        .unwrap_err();
    let expected = format!(
        r#"plugin type="two" failed (add): failed to find plugin "two" in path [{}]"#,
        host.path("bin").display()
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(host.log(), [""; 0]);
}

#[test]
fn identities_that_are_not_valid_are_refused_before_anything_is_done() {
    let host = host_with_chain();
    let cni = host.cni();
    for (name, rt, code) in [
        ("net", RuntimeConf::new("", "/ns", "eth0"), 3),
        ("net", RuntimeConf::new("../c", "/ns", "eth0"), 4),
        ("net", RuntimeConf::new("c", "/ns", "a/b"), 4),
        ("n/et", RuntimeConf::new("c", "/ns", "eth0"), 7),
    ] {
        let list = chain(name, "1.1.0");
        for error in [
            cni.add(&list, &rt).unwrap_err(),
            cni.check(&list, &rt).unwrap_err(),
            cni.del(&list, &rt).unwrap_err(),
        ] {
            assert!(matches!(error, Error::Invalid(_)), "{error:?}");
            assert_eq!(error.code(), code, "{error}");
        }
    }
    assert_eq!(host.log(), [""; 0]);
}

#[test]
fn del_runs_in_reverse_with_the_final_result_and_forgets_the_attachment() {
    let host = host_with_chain();
    let (cni, list) = (host.cni(), chain("net", "1.1.0"));
    cni.add(&list, &rt("c1")).unwrap();
    host.log();
    cni.del(&list, &rt("c1")).unwrap();
    assert_eq!(host.log(), ["DEL two c1", "DEL one c1"]);
    for plugin in ["one", "two"] {
        let prev_result = &host.request(plugin, "DEL")["prevResult"];
        assert_eq!(prev_result["ips"].as_array().unwrap().len(), 2);
    }
    assert_eq!(host.cached(), [""; 0]);
    cni.del(&list, &rt("c1")).unwrap();
    assert_eq!(host.request("one", "DEL").get("prevResult"), None);
}

#[test]
fn del_stops_at_the_first_error_and_keeps_the_cache_for_the_next_try() {
    let host = host_with_chain();
    let (cni, list) = (host.cni(), chain("net", "1.1.0"));
    cni.add(&list, &rt("c1")).unwrap();
    host.log();
    host.fail("two", "DEL", FAILURE);
    let error = cni.del(&list, &rt("c1")).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"plugin type="two" failed (delete): busy; later"#
    );
    assert_eq!(host.log(), ["DEL two c1"]);
    assert_eq!(host.cached(), ["net-c1-eth0"]);
    host.works_again("two", "DEL");
    cni.del(&list, &rt("c1")).unwrap();
    assert_eq!(host.cached(), [""; 0]);
}

#[test]
fn best_effort_del_goes_on_and_reports_all_errors() {
    let host = host_with_chain();
    let (cni, list) = (host.cni(), chain("net", "1.1.0"));
    cni.add(&list, &rt("c1")).unwrap();
    host.log();
    host.fail("two", "DEL", FAILURE);
    host.fail("one", "DEL", r#"{"code":5,"msg":"disk"}"#);
    let error = cni
        .del_with(&list, &rt("c1"), DelMode::BestEffort)
        .unwrap_err();
    assert_eq!(host.log(), ["DEL two c1", "DEL one c1"]);
    let lines = "plugin type=\"two\" failed (delete): busy; later\n\
                 plugin type=\"one\" failed (delete): disk";
    assert_eq!(error.to_string(), lines);
    let error = CniError::from(error);
    assert_eq!(error.code, 11);
    assert_eq!(
        error.details,
        "later\nplugin type=\"one\" failed (delete): disk"
    );
    assert_eq!(host.cached(), ["net-c1-eth0"]);
}

#[test]
fn del_before_0_4_0_passes_no_result() {
    let host = host_with_chain();
    let (cni, list) = (host.cni(), chain("net", "0.3.1"));
    cni.add(&list, &rt("c1")).unwrap();
    cni.del(&list, &rt("c1")).unwrap();
    assert_eq!(host.request("one", "DEL").get("prevResult"), None);
    assert_eq!(host.cached(), [""; 0]);
}

#[test]
fn check_runs_in_order_with_the_final_result_and_stops_at_the_first_error() {
    let host = host_with_chain();
    let (cni, list) = (host.cni(), chain("net", "1.0.0"));
    cni.add(&list, &rt("c1")).unwrap();
    host.log();
    cni.check(&list, &rt("c1")).unwrap();
    assert_eq!(host.log(), ["CHECK one c1", "CHECK two c1"]);
    let prev_result = &host.request("one", "CHECK")["prevResult"];
    assert_eq!(prev_result["cniVersion"], "1.0.0");
    assert_eq!(prev_result["ips"].as_array().unwrap().len(), 2);
    host.fail("one", "CHECK", FAILURE);
    assert_eq!(cni.check(&list, &rt("c1")).unwrap_err().code(), 11);
    assert_eq!(host.log(), ["CHECK one c1"]);
}

#[test]
fn check_needs_0_4_0_even_if_it_is_disabled() {
    let host = host_with_chain();
    let mut list = chain("net", "0.3.1");
    list.disable_check = true;
    let error = host.cni().check(&list, &rt("c1")).unwrap_err();
    assert!(matches!(error, Error::CheckNotSupported { .. }));
    let text = r#"configuration version "0.3.1" does not support the CHECK command"#;
    assert_eq!(error.to_string(), text);
    list.cni_version = "0.4.0".into();
    host.cni().check(&list, &rt("c1")).unwrap();
    assert_eq!(host.log(), [""; 0]);
}

#[test]
fn a_single_plugin_is_run_with_its_own_name_and_version() {
    let host = host_with_chain();
    let cni = host.cni();
    let conf = br#"{"cniVersion":"1.0.0","name":"solo","type":"one","x":1}"#;
    let conf = PluginConf::parse(conf).unwrap();
    cni.add(&conf, &rt("c1")).unwrap();
    let expected = json!({"cniVersion":"1.0.0","name":"solo","type":"one","x":1});
    assert_eq!(host.request("one", "ADD"), expected);
    assert_eq!(host.cached(), ["solo-c1-eth0"]);
    cni.check(&conf, &rt("c1")).unwrap();
    let (config, _) = cni.cached_config(&conf, &rt("c1")).unwrap().unwrap();
    assert_eq!(config, conf.to_bytes());
    host.fail("one", "DEL", FAILURE);
    let error = cni.del(&conf, &rt("c1")).unwrap_err();
    let text = r#"plugin type="one" name="solo" failed (delete): busy; later"#;
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_version_newer_than_all_known_is_left_to_the_plugins() {
    let host = host_with_chain();
    let result = host.cni().add(&chain("net", "1.9.0"), &rt("c1")).unwrap();
    assert_eq!(host.request("two", "ADD")["cniVersion"], "1.9.0");
    assert_eq!(result.cni_version, Version::V1_1_0);
    host.cni().del(&chain("net", "1.9.0"), &rt("c1")).unwrap();
    assert_eq!(
        host.request("two", "DEL")["prevResult"]["cniVersion"],
        "1.1.0"
    );
}

#[test]
fn a_network_without_plugins_cannot_be_added() {
    let list = list(r#"{"cniVersion":"1.0.0","name":"net"}"#);
    let error = Host::new().cni().add(&list, &rt("c1")).unwrap_err();
    assert_eq!(error.to_string(), r#"network "net" has no plugins"#);
}

#[test]
fn an_attachment_that_cannot_be_cached_fails_before_it_is_made() {
    let host = host_with_chain();
    host.write("file", "");
    let cni = host.cni().cache_dir(host.path("file"));
    let error = cni.add(&chain("net", "1.0.0"), &rt("c1")).unwrap_err();
    assert!(matches!(error, Error::Lock { .. }), "{error:?}");
    assert_eq!(host.log(), [""; 0]);
    cni.del(&chain("net", "1.0.0"), &rt("c1")).unwrap();
}

#[test]
fn plugins_linked_into_the_program_are_run_without_files() {
    let host = Host::new();
    let exec = InProcessExec::new().with("linked", |_, _, stdout, _| {
        stdout.write_all(b"{}").map_or(1, |()| 0)
    });
    let cni = Cni::new(["/nonexistent"])
        .exec(exec)
        .cache_dir(host.path("cache"));
    let list = list(r#"{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"linked"}]}"#);
    let result = cni.add(&list, &rt("c1")).unwrap();
    assert_eq!(result.cni_version, Version::V1_0_0);
    cni.del(&list, &rt("c1")).unwrap();
}

#[test]
fn attachments_are_added_and_deleted_from_many_threads() {
    let host = host_with_chain();
    let (cni, list) = (host.cni(), chain("net", "1.1.0"));
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let (cni, list) = (&cni, &list);
            scope.spawn(move || {
                for turn in 0..3 {
                    let rt = rt(&format!("c{worker}-{turn}"));
                    let result = cni.add(list, &rt).unwrap();
                    assert_eq!(cni.cached_result(list, &rt).unwrap(), Some(result));
                    if turn > 0 {
                        cni.del(list, &rt).unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(host.cached().len(), 8);
}
