//! What one does with a plugin: ADD with its result, other commands, VERSION.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use netloom_invoke::{
    Command, Env, Error, InProcessExec, Invocation, Stderr, add, run, version_info,
};
use netloom_spec::{AddResult, PluginConf, Version};

/// An engine whose only plugin prints `stdout` and ends with `status`.
fn answering(stdout: &'static str, status: i32) -> InProcessExec {
    let plugin = move |_: &Env, _: &[u8], out: &mut dyn Write, _: &mut dyn Write| {
        out.write_all(stdout.as_bytes()).unwrap();
        status
    };
    InProcessExec::new()
        .with("p", plugin)
        .stderr(Stderr::memory().0)
}

fn add_with(stdout: &'static str, conf_version: &str) -> Result<AddResult, Error> {
    let conf = format!(r#"{{"cniVersion":"{conf_version}","name":"n","type":"p"}}"#);
    let conf = PluginConf::parse(conf.as_bytes()).unwrap();
    add(
        &answering(stdout, 0),
        Path::new("p"),
        &conf,
        &Invocation::new(Command::Add),
    )
}

#[test]
fn a_result_without_a_version_is_of_the_configurations() {
    for stdout in [
        r#"{"ips":[{"version":"4","address":"10.0.0.2/24"}]}"#,
        r#"{"cniVersion":"","ips":[{"version":"4","address":"10.0.0.2/24"}]}"#,
        r#"{"cniVersion":7,"ips":[{"version":"4","address":"10.0.0.2/24"}]}"#,
    ] {
        let result = add_with(stdout, "0.4.0").unwrap();
        assert_eq!(result.cni_version, Version::V0_4_0);
        assert_eq!(result.ips[0].address.to_string(), "10.0.0.2/24");
    }
}

#[test]
fn a_result_keeps_the_version_it_says() {
    let result = add_with(r#"{"cniVersion":"1.0.0"}"#, "0.4.0").unwrap();
    assert_eq!(result.cni_version, Version::V1_0_0);
}

#[test]
fn null_is_an_empty_result() {
    assert_eq!(add_with("null\n", "1.0.0").unwrap().ips, []);
}

#[test]
fn what_is_no_result_is_an_error_that_says_so() {
    for (stdout, reason) in [
        ("", "the plugin printed no result"),
        (" \n", "the plugin printed no result"),
        ("[]", "[] is not an object"),
        ("{", "EOF"),
        (
            "time=10:48 level=debug connecting\n{}\n",
            r#"the plugin printed "time=10:48 level=debug connecting\n{}\n""#,
        ),
        (r#"{"cniVersion":"9.9.9"}"#, "9.9.9"),
        (r#"{"cniVersion":"1.0.0","ips":[{"address":"ten"}]}"#, "ten"),
    ] {
        let error = add_with(stdout, "1.0.0").unwrap_err();
        assert!(matches!(error, Error::Result { .. }), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn a_command_without_a_result_ignores_what_is_printed() {
    let conf = PluginConf::parse(br#"{"type":"p"}"#).unwrap();
    let args = Invocation::new(Command::Del);
    run(&answering("not JSON", 0), Path::new("p"), &conf, &args).unwrap();
    let failing = answering(r#"{"code":8,"msg":"m","details":"d"}"#, 1);
    let error = run(&failing, Path::new("p"), &conf, &args).unwrap_err();
    assert!(matches!(&error, Error::Plugin { error, .. } if error.code == 8));
    assert_eq!(error.to_string(), "m; d");
}

#[test]
fn the_probe_for_versions_has_the_variables_that_old_plugins_insist_on() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let exec = InProcessExec::new().with(
        "p",
        move |env: &Env, stdin: &[u8], out: &mut dyn Write, _: &mut dyn Write| {
            for name in ["COMMAND", "CONTAINERID", "NETNS", "IFNAME", "ARGS", "PATH"] {
                let value = env.get(&format!("CNI_{name}")).unwrap().to_str().unwrap();
                log.lock().unwrap().push(format!("{name}={value}"));
            }
            log.lock()
                .unwrap()
                .push(String::from_utf8(stdin.to_vec()).unwrap());
            out.write_all(br#"{"cniVersion":"0.2.0"}"#)
                .map_or(1, |()| 0)
        },
    );
    let info = version_info(&exec, Path::new("p")).unwrap();
    assert_eq!(info.supported_versions, ["0.1.0", "0.2.0"]);
    let expected = [
        "COMMAND=VERSION",
        "CONTAINERID=",
        "NETNS=dummy",
        "IFNAME=dummy",
        "ARGS=",
        "PATH=dummy",
        "{\"cniVersion\":\"1.1.0\"}\n",
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn a_plugin_older_than_the_version_command_supports_0_1_0() {
    let old = answering(r#"{"code":4,"msg":"unknown CNI_COMMAND: VERSION"}"#, 1);
    let info = version_info(&old, Path::new("p")).unwrap();
    assert_eq!(info.supported_versions, ["0.1.0"]);
    let other = answering(
        r#"{"code":4,"msg":"unknown CNI_COMMAND: VERSION","details":"x"}"#,
        1,
    );
    assert!(version_info(&other, Path::new("p")).is_err());
}

#[test]
fn an_answer_that_is_no_version_information_is_an_error() {
    for stdout in ["", "{}", r#"{"cniVersion":"1.0.0"}"#] {
        let error = version_info(&answering(stdout, 0), Path::new("p")).unwrap_err();
        assert!(
            error.to_string().starts_with("decoding version info: "),
            "{error}"
        );
    }
}

#[test]
fn a_request_is_one_whole_line() {
    let plugin = |_: &Env, stdin: &[u8], out: &mut dyn Write, _: &mut dyn Write| {
        assert!(
            stdin.ends_with(b"}\n") && stdin.iter().filter(|byte| **byte == b'\n').count() == 1
        );
        out.write_all(b"{}").map_or(1, |()| 0)
    };
    let exec = InProcessExec::new().with("p", plugin);
    let conf = PluginConf::parse(br#"{"cniVersion":"1.0.0","type":"p"}"#).unwrap();
    for command in [Command::Del, Command::Check, Command::Gc, Command::Status] {
        run(&exec, Path::new("p"), &conf, &Invocation::new(command)).unwrap();
    }
    add(&exec, Path::new("p"), &conf, &Invocation::new(Command::Add)).unwrap();
}
