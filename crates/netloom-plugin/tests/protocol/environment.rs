//! Environment, stdin and their order: what is wrong, and which wrong thing is named first.

use crate::call::{Broken, CONF, Probe, Untouchable, call, call_with, env};
use netloom_plugin::Env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

const VARIABLES: [&str; 5] = [
    "CNI_CONTAINERID",
    "CNI_NETNS",
    "CNI_IFNAME",
    "CNI_ARGS",
    "CNI_PATH",
];

fn required(command: &str) -> &'static [&'static str] {
    match command {
        "ADD" | "CHECK" => &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
        "DEL" => &["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"],
        "GC" | "STATUS" => &["CNI_PATH"],
        _ => &[],
    }
}

const COMMANDS: [&str; 6] = ["ADD", "CHECK", "DEL", "GC", "STATUS", "VERSION"];

#[test]
fn each_variable_is_required_by_exactly_the_commands_that_need_it() {
    for command in COMMANDS {
        for variable in VARIABLES {
            for unset in [true, false] {
                let mut env = env(command);
                if unset {
                    env.remove(variable)
                } else {
                    env.set(variable, "")
                }
                let probe = Probe::default();
                let outcome = call(&probe, &env, CONF);
                if required(command).contains(&variable) {
                    let msg = format!("required env variables [{variable}] missing");
                    assert_eq!(outcome.error_parts(), (4, msg, String::new()), "{command}");
                    assert!(probe.calls().is_empty());
                } else {
                    assert_eq!(
                        outcome.status, 0,
                        "{command} without {variable}: {}",
                        outcome.stdout
                    );
                }
            }
        }
    }
}

#[test]
fn all_missing_variables_are_named_at_once() {
    for command in ["ADD", "CHECK", "DEL", "GC", "STATUS"] {
        let env = Env::new().with("CNI_COMMAND", command);
        let outcome = call_with(&Probe::default(), &[], &env, &mut Untouchable);
        let msg = format!(
            "required env variables [{}] missing",
            required(command).join(",")
        );
        assert_eq!(outcome.error_parts(), (4, msg, String::new()));
    }
}

#[test]
fn a_malformed_variable_is_named_before_a_missing_one() {
    let mut env = env("ADD");
    env.remove("CNI_NETNS");
    env.remove("CNI_PATH");
    env.set("CNI_CONTAINERID", "a/b");
    let expected = (
        4,
        "invalid characters in containerID".to_owned(),
        "a/b".to_owned(),
    );
    assert_eq!(call(&Probe::default(), &env, CONF).error_parts(), expected);
}

#[test]
fn the_container_id_is_named_before_the_interface_name() {
    let env = env("ADD")
        .with("CNI_CONTAINERID", "-c")
        .with("CNI_IFNAME", "..");
    let (_, msg, details) = call(&Probe::default(), &env, CONF).error_parts();
    assert_eq!(
        (msg.as_str(), details.as_str()),
        ("invalid characters in containerID", "-c")
    );
}

#[test]
fn an_interface_name_no_kernel_takes_is_refused() {
    for name in ["sixteen-bytes-xx", ".", "..", "a/b", "a:b", "a b", "a\tb"] {
        for command in ["ADD", "CHECK", "DEL"] {
            let probe = Probe::default();
            let error = call(&probe, &env(command).with("CNI_IFNAME", name), CONF).error();
            assert_eq!(error.code, 4, "{name:?}");
            assert!(error.msg.starts_with("interface name"), "{}", error.msg);
            assert!(probe.calls().is_empty());
        }
    }
}

#[test]
fn what_a_command_does_not_require_is_not_validated() {
    for command in ["GC", "STATUS"] {
        let env = env(command)
            .with("CNI_CONTAINERID", "a/b")
            .with("CNI_IFNAME", "..");
        call(&Probe::default(), &env, CONF).assert_silent();
    }
}

#[test]
fn a_variable_that_is_not_utf8_is_named() {
    let env = env("ADD").with("CNI_NETNS", OsString::from_vec(b"/run/\xff".to_vec()));
    let (code, msg, _) = call(&Probe::default(), &env, CONF).error_parts();
    assert_eq!(
        (code, msg.as_str()),
        (4, "CNI_NETNS is \"/run/\\xFF\": it must be valid UTF-8")
    );
}

#[test]
fn the_environment_is_checked_before_stdin_is_read() {
    let mut env = env("ADD");
    env.remove("CNI_IFNAME");
    assert_eq!(
        call_with(&Probe::default(), &[], &env, &mut Untouchable)
            .error()
            .code,
        4
    );
}

#[test]
fn a_stdin_that_cannot_be_read_is_an_io_error() {
    let outcome = call_with(&Probe::default(), &[], &env("ADD"), &mut Broken);
    let msg = "error reading from stdin: the pipe is on fire".to_owned();
    assert_eq!(outcome.error_parts(), (5, msg, String::new()));
}

#[test]
fn bad_json_is_a_decoding_error_for_every_command() {
    for command in ["ADD", "CHECK", "DEL", "GC", "STATUS", "FROBNICATE"] {
        for stdin in [
            "",
            "{",
            "[]",
            "1",
            r#"{"name": 5}"#,
            r#"{"name":"a"} {}"#,
            "\u{0}",
        ] {
            let probe = Probe::default();
            let outcome = call(&probe, &env(command), stdin);
            assert_eq!(
                outcome.error().code,
                6,
                "{command} {stdin:?}: {}",
                outcome.stdout
            );
            assert!(probe.calls().is_empty());
        }
    }
}

#[test]
fn a_network_needs_a_name() {
    for stdin in [
        r#"{"cniVersion":"1.1.0"}"#,
        r#"{"name":""}"#,
        r#"{"name":null}"#,
    ] {
        let expected = (7, "missing network name".to_owned(), String::new());
        assert_eq!(
            call(&Probe::default(), &env("ADD"), stdin).error_parts(),
            expected
        );
    }
}

#[test]
fn a_network_name_that_is_no_file_name_is_refused() {
    let stdin = r#"{"cniVersion":"1.1.0","name":"../blue"}"#;
    let expected = (
        7,
        "invalid characters found in network name".to_owned(),
        "../blue".to_owned(),
    );
    assert_eq!(
        call(&Probe::default(), &env("ADD"), stdin).error_parts(),
        expected
    );
}

#[test]
fn an_unknown_command_is_named_only_after_the_configuration_was_checked() {
    let expected = (
        4,
        "unknown CNI_COMMAND: FROBNICATE".to_owned(),
        String::new(),
    );
    let env = env("FROBNICATE");
    assert_eq!(call(&Probe::default(), &env, CONF).error_parts(), expected);
    assert_eq!(call(&Probe::default(), &env, "").error().code, 6);
    assert_eq!(
        call(&Probe::default(), &env, r#"{"name":"/"}"#)
            .error()
            .code,
        7
    );
}

#[test]
fn commands_are_upper_case() {
    assert_eq!(
        call(&Probe::default(), &env("add"), CONF).error().msg,
        "unknown CNI_COMMAND: add"
    );
}

#[test]
fn run_by_hand_a_plugin_introduces_itself_by_its_own_name_and_release() {
    for env in [Env::new(), env("")] {
        let outcome = call_with(&Probe::default(), &[], &env, &mut Untouchable);
        outcome.assert_silent();
        assert_eq!(
            outcome.stderr,
            "CNI probe plugin v7.0.1\nCNI protocol versions supported: \
             0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n"
        );
    }
}
