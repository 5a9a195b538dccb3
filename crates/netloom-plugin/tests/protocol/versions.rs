//! Which versions a plugin serves, and what it says to the others.

use crate::call::{Narrow, Probe, Untouchable, call, call_with, env};
use netloom_plugin::{Env, Version};

fn conf(version: &str) -> String {
    format!(r#"{{"cniVersion":"{version}","name":"blue","type":"probe"}}"#)
}

const ALL: &str = r#"["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]"#;

fn refused(msg: &str) -> (u32, String, String) {
    (1, msg.to_owned(), String::new())
}

#[test]
fn add_and_del_serve_exactly_the_listed_versions() {
    for command in ["ADD", "DEL"] {
        for version in ["0.3.2", "1.0", "1.2.0", "v1.0.0", "1.1.0 "] {
            let probe = Probe::default();
            let expected = (
                1,
                "incompatible CNI versions".to_owned(),
                format!(r#"config is "{version}", plugin supports {ALL}"#),
            );
            assert_eq!(
                call(&probe, &env(command), &conf(version)).error_parts(),
                expected
            );
            assert!(probe.calls().is_empty());
        }
    }
}

#[test]
fn a_configuration_without_a_version_is_of_0_1_0() {
    let plugin = Narrow(&[Version::V0_4_0]);
    for conf in [r#"{"name":"blue"}"#, r#"{"name":"blue","cniVersion":""}"#] {
        let (code, _, details) = call(&plugin, &env("DEL"), conf).error_parts();
        let expected = r#"config is "0.1.0", plugin supports ["0.4.0"]"#;
        assert_eq!((code, details.as_str()), (1, expected));
        call(&Probe::default(), &env("DEL"), conf).assert_silent();
    }
}

#[test]
fn check_needs_a_configuration_of_0_4_0() {
    for version in ["", "0.1.0", "0.2.0", "0.3.0", "0.3.1"] {
        let outcome = call(&Probe::default(), &env("CHECK"), &conf(version));
        assert_eq!(
            outcome.error_parts(),
            refused("config version does not allow CHECK")
        );
    }
    for version in ["0.4.0", "1.0.0", "1.1.0"] {
        call(&Probe::default(), &env("CHECK"), &conf(version)).assert_silent();
    }
}

#[test]
fn gc_and_status_need_a_configuration_of_1_1_0() {
    for command in ["GC", "STATUS"] {
        for version in ["0.4.0", "1.0.0"] {
            let msg = format!("config version does not allow {command}");
            let outcome = call(&Probe::default(), &env(command), &conf(version));
            assert_eq!(outcome.error_parts(), refused(&msg));
        }
        call(&Probe::default(), &env(command), &conf("1.1.0")).assert_silent();
    }
}

#[test]
fn a_plugin_older_than_the_configuration_does_not_allow_the_command() {
    let old = Narrow(&[Version::V0_3_1, Version::V0_4_0]);
    for (command, version) in [("CHECK", "1.0.0"), ("GC", "1.1.0"), ("STATUS", "1.1.0")] {
        let msg = format!("plugin version does not allow {command}");
        assert_eq!(
            call(&old, &env(command), &conf(version)).error_parts(),
            refused(&msg)
        );
    }
}

#[test]
fn a_plugin_newer_than_an_unlisted_configuration_is_incompatible() {
    let gap = Narrow(&[Version::V0_4_0, Version::V1_1_0]);
    let expected = (
        1,
        "incompatible CNI versions".to_owned(),
        r#"config is "1.0.0", plugin supports ["0.4.0" "1.1.0"]"#.to_owned(),
    );
    assert_eq!(
        call(&gap, &env("CHECK"), &conf("1.0.0")).error_parts(),
        expected
    );
}

#[test]
fn a_version_that_is_no_version_cannot_be_compared() {
    for command in ["CHECK", "GC", "STATUS"] {
        assert_eq!(
            call(&Probe::default(), &env(command), &conf("1.x"))
                .error()
                .code,
            6
        );
    }
}

#[test]
fn an_error_names_the_version_of_the_configuration() {
    let adder = crate::call::Adder(|_, _| Err(netloom_plugin::Error::new(100, "no")));
    let outcome = call(&adder, &env("ADD"), &conf("0.3.1"));
    let expected = "{\n    \"cniVersion\": \"0.3.1\",\n    \"code\": 100,\n    \"msg\": \"no\"\n}";
    assert_eq!(outcome.stdout, expected);
}

#[test]
fn an_error_before_the_version_is_agreed_names_the_newest_of_the_plugin() {
    let old = Narrow(&[Version::V0_3_1, Version::V0_4_0]);
    let newest = |outcome: crate::call::Outcome| outcome.error().cni_version.unwrap();
    assert_eq!(newest(call(&old, &env("ADD"), "{")), "0.4.0");
    assert_eq!(newest(call(&old, &env("ADD"), &conf("9.0.0"))), "0.4.0");
    assert_eq!(
        newest(call(
            &Probe::default(),
            &Env::new().with("CNI_COMMAND", "ADD"),
            ""
        )),
        "1.1.0"
    );
}

#[test]
fn version_lists_the_versions_on_one_line_without_reading_stdin() {
    let env = Env::new().with("CNI_COMMAND", "VERSION");
    let outcome = call_with(&Probe::default(), &[], &env, &mut Untouchable);
    assert_eq!(outcome.status, 0);
    assert_eq!(
        outcome.stdout,
        "{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"0.1.0\",\"0.2.0\",\"0.3.0\",\
         \"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n"
    );
}

#[test]
fn version_lists_only_what_the_plugin_supports() {
    let outcome = call(&Narrow(&[Version::V0_4_0]), &env("VERSION"), "");
    assert_eq!(
        outcome.document()["supportedVersions"],
        serde_json::json!(["0.4.0"])
    );
}
