//! Loading configurations from a directory.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::os::unix::fs::symlink;

use netloom_runtime::load::{self, Error};
use netloom_spec::Error as CniError;
use serde_json::json;
use support::Host;

fn conflist(name: &str, plugin: &str) -> String {
    format!(r#"{{"cniVersion":"1.0.0","name":"{name}","plugins":[{{"type":"{plugin}"}}]}}"#)
}

fn types(host: &Host, name: &str) -> Vec<String> {
    let list = load::find_by_name(host.path("conf"), name).unwrap();
    list.plugins
        .iter()
        .map(|conf| conf.plugin_type().to_owned())
        .collect()
}

#[test]
fn files_are_chosen_by_exact_extension_and_sorted() {
    let host = Host::new();
    for name in [
        "b.conf",
        "a.json",
        "c.conflist",
        "d.CONF",
        "e.conf~",
        "noext",
        ".conf",
    ] {
        host.write(&format!("conf/{name}"), "");
    }
    host.write("conf/dir.conf/x.conf", "");
    let files = load::conf_files(host.path("conf"), &["conf", "json"]).unwrap();
    let expected = ["conf/.conf", "conf/a.json", "conf/b.conf"].map(|name| host.path(name));
    assert_eq!(files, expected);
    assert!(
        load::conf_files(host.path("none"), &["conf"])
            .unwrap()
            .is_empty()
    );
    assert!(load::conf_files(host.path("conf/noext"), &["conf"]).is_err());
}

#[test]
fn the_first_list_of_the_name_wins_over_later_ones_and_over_single_plugins() {
    let host = Host::new();
    host.write("conf/00.conf", r#"{"name":"net","type":"single"}"#);
    host.write("conf/20.conflist", &conflist("net", "second"));
    host.write("conf/10.conflist", &conflist("net", "first"));
    assert_eq!(types(&host, "net"), ["first"]);
}

#[test]
fn a_list_and_a_plugin_in_a_file_of_the_others_ending_say_which_it_should_be() {
    let host = Host::new();
    host.write("conf/a.conf", &conflist("a", "bridge"));
    host.write("conf/b.conflist", r#"{"name":"b","type":"bridge"}"#);
    for (file, hint) in [
        ("a.conf", "must end in .conflist"),
        (
            "b.conflist",
            "one plugin, not a list; its file's name must end in .conf",
        ),
    ] {
        let path = host.path(&format!("conf/{file}"));
        let error = match file {
            "a.conf" => load::plugin_from_file(&path).unwrap_err(),
            _ => load::list_from_file(&path).unwrap_err(),
        };
        assert!(error.to_string().ends_with(hint), "{error}");
    }
}

#[test]
fn a_single_plugin_is_found_as_a_list() {
    let host = Host::new();
    host.write(
        "conf/20.conf",
        r#"{"cniVersion":"0.4.0","name":"net","type":"b","x":1}"#,
    );
    host.write(
        "conf/10.json",
        r#"{"cniVersion":"0.3.1","name":"net","type":"a","x":1}"#,
    );
    let list = load::find_by_name(host.path("conf"), "net").unwrap();
    assert_eq!(
        (&*list.name, &*list.cni_version, list.plugins.len()),
        ("net", "0.3.1", 1)
    );
    let bytes: serde_json::Value = serde_json::from_slice(&list.bytes).unwrap();
    assert_eq!(bytes["plugins"][0]["type"], "a");
    let conf = load::find_plugin_by_name(host.path("conf"), "net").unwrap();
    assert_eq!(conf.plugin_type(), "a");
}

#[test]
fn a_broken_file_is_reported_and_hides_no_other() {
    let host = Host::new();
    host.write("conf/00.conflist", "{");
    host.write(
        "conf/01.conflist",
        r#"{"cniVersion":"1.0.0","name":"empty"}"#,
    );
    host.write("conf/02.conf", r#"{"name":"typeless"}"#);
    symlink("/nonexistent", host.path("conf/03.conflist")).unwrap();
    symlink("/", host.path("conf/04.conf")).unwrap();
    host.write("conf/10.conflist", &conflist("net", "good"));
    host.write("conf/20.conf", r#"{"name":"solo","type":"good"}"#);
    let loaded = load::directory(host.path("conf")).unwrap();
    let names: Vec<_> = loaded
        .networks
        .iter()
        .map(|found| found.list.name.as_str())
        .collect();
    assert_eq!(names, ["net", "solo"]);
    let problems: Vec<_> = loaded
        .problems
        .iter()
        .map(|problem| problem.error.to_string())
        .collect();
    for (problem, (file, text)) in problems.iter().zip([
        ("00.conflist", "error parsing configuration list"),
        ("01.conflist", "no plugin configs found"),
        ("03.conflist", "No such file or directory"),
        ("02.conf", "missing 'type'"),
        ("04.conf", "not a regular file"),
    ]) {
        assert!(
            problem.contains(file) && problem.contains(text),
            "{problem}"
        );
    }
    assert_eq!(problems.len(), 5);
    assert_eq!(types(&host, "net"), ["good"]);
    assert_eq!(types(&host, "solo"), ["good"]);
}

#[test]
fn a_name_that_is_nowhere_is_told_with_the_files_that_could_not_be_used() {
    let host = Host::new();
    let dir = host.path("conf");
    let error = load::find_by_name(&dir, "net").unwrap_err();
    let expected = format!("no net configurations found in {}", dir.display());
    assert_eq!(error.to_string(), expected);
    host.write("conf/10.conflist", &conflist("other", "good"));
    let error = load::find_by_name(&dir, "net").unwrap_err();
    let expected = format!(
        "no net configuration with name \"net\" in {}",
        dir.display()
    );
    assert_eq!(error.to_string(), expected);
    host.write("conf/20.conflist", "{");
    let error = load::find_by_name(&dir, "net").unwrap_err();
    assert!(error.to_string().starts_with(&expected), "{error}");
    assert!(
        error.to_string().contains("20.conflist: error parsing"),
        "{error}"
    );
    assert_eq!(CniError::from(error).code, 7);
}

#[test]
fn a_list_that_has_the_name_but_a_problem_is_not_passed_over() {
    let host = Host::new();
    host.write("conf/10.conflist", &conflist("net", "good"));
    host.write("conf/10.conf", r#"{"name":"net","type":"older"}"#);
    host.write("conf/net/extra.conf", "{");
    let error = load::find_by_name(host.path("conf"), "net").unwrap_err();
    assert!(matches!(&error, Error::Parse { path, .. } if path.ends_with("net/extra.conf")));
}

#[test]
fn plugins_beside_the_list_follow_its_own_in_the_order_of_their_names() {
    let host = Host::new();
    host.write("conf/net.conflist", &conflist("net", "inlined"));
    for name in ["20.conf", "10.conf", "30.json", "40.conflist"] {
        host.write(
            &format!("conf/net/{name}"),
            &format!(r#"{{"type":"of-{name}"}}"#),
        );
    }
    host.write("conf/other/50.conf", "{");
    assert_eq!(types(&host, "net"), ["inlined", "of-10.conf", "of-20.conf"]);
}

#[test]
fn a_list_may_have_all_its_plugins_beside_it() {
    let host = Host::new();
    host.write(
        "conf/net.conflist",
        r#"{"cniVersion":"1.1.0","name":"net"}"#,
    );
    host.write("conf/net/a.conf", r#"{"type":"a"}"#);
    assert_eq!(types(&host, "net"), ["a"]);
}

#[test]
fn load_only_inlined_plugins_leaves_the_directory_alone() {
    let host = Host::new();
    let list = r#"{"name":"net","loadOnlyInlinedPlugins":true,"plugins":[{"type":"inlined"}]}"#;
    host.write("conf/net.conflist", list);
    host.write("conf/net/broken.conf", "{");
    assert_eq!(types(&host, "net"), ["inlined"]);
}

#[test]
fn the_name_of_a_network_cannot_lead_to_another_directory() {
    let host = Host::new();
    host.write("elsewhere/a.conf", r#"{"type":"a"}"#);
    for name in ["../elsewhere", "..", "."] {
        assert_eq!(load::plugins_beside(host.path("conf"), name).unwrap(), []);
    }
}

#[test]
fn values_are_injected_and_bad_ones_refused() {
    let conf = load::plugin_from_bytes(br#"{"type":"t","Name":"old"}"#).unwrap();
    let injected = load::inject(&conf, [("name", json!("new")), ("x", json!([1]))]).unwrap();
    assert_eq!(injected.to_bytes(), br#"{"name":"new","type":"t","x":[1]}"#);
    let empty = load::inject(&conf, [("", json!(1))]).unwrap_err();
    assert_eq!(empty.to_string(), "keys cannot be empty");
    let null = load::inject(&conf, [("k", json!(null))]).unwrap_err();
    assert_eq!(null.to_string(), "key 'k' value must not be nil");
    assert!(load::inject(&conf, [("type", json!(""))]).is_err());
}
