//! The forms of the report, and what is refused.

use std::fs;
use std::path::Path;

use netloom_testkit::Host;

use crate::{conform, document, made, project};

#[test]
fn tap_has_a_line_for_each_case_and_its_plan_at_the_end() {
    let Some(_host) = Host::new() else { return };
    let project = project();
    let Some(plugin) = with_a_wrong_code(project.path()) else {
        return;
    };
    let only = ["--only", "CF-001", "--only", "CF-032", "--only", "CF-101"];
    let outcome = conform(&[&["--tap", &plugin][..], &only].concat()).run();
    // A failure of `should` does not count at the level `must`.
    assert!(outcome.is_success(), "{outcome}");
    let lines: Vec<&str> = outcome
        .stdout
        .lines()
        .filter(|line| !line.starts_with(' '))
        .collect();
    assert_eq!(
        lines,
        [
            "TAP version 14",
            "ok 1 - hello CF-001 VERSION answers with cniVersion and supportedVersions",
            "not ok 2 - hello CF-032 a configuration that is no JSON is refused with code 6",
            "ok 3 - hello CF-101 the result has the form of 0.1.0 # SKIP the plugin does not speak 0.1.0",
            "1..3",
        ],
        "{outcome}"
    );
    assert!(
        outcome
            .stdout
            .contains("  reproducer: \"unshare -rnm sh -c "),
        "{outcome}"
    );
}

/// The shell template, which answers garbage with a code of its own.
fn with_a_wrong_code(project: &Path) -> Option<String> {
    let plugin = made("shell", &project.join("hello"))?;
    let wrong = fs::read_to_string(&plugin)
        .unwrap()
        .replace("fail 6 ", "fail 100 ");
    fs::write(&plugin, wrong).unwrap();
    Some(plugin)
}

#[test]
fn junit_tells_passed_failed_and_skipped() {
    let Some(_host) = Host::new() else { return };
    let project = project();
    let Some(plugin) = with_a_wrong_code(project.path()) else {
        return;
    };
    let file = project.path().join("report.xml");
    let only = ["--only", "CF-001", "--only", "CF-032", "--only", "CF-101"];
    let junit = ["--junit", file.to_str().unwrap(), &plugin];
    assert!(conform(&[&junit[..], &only].concat()).run().is_success());
    let text = fs::read_to_string(file).unwrap();
    let suite = r#"<testsuite name="hello" tests="3" skipped="1" errors="0" failures="1">"#;
    for words in [
        suite,
        "<failure message=\"expected code 6, got",
        "type=\"should\"",
        "<skipped message=",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn a_known_failure_does_not_count_and_is_told() {
    let Some(_host) = Host::new() else { return };
    let project = project();
    let Some(plugin) = with_a_wrong_code(project.path()) else {
        return;
    };
    let known = project.path().join("known");
    fs::write(
        &known,
        "# of this plugin\nhello CF-032 it has codes of its own\nhello CF-001 not any more\n",
    )
    .unwrap();
    let arguments = [
        "--level", "extra", "--only", "CF-032", "--only", "CF-001", &plugin,
    ];
    let outcome = conform(&arguments).run();
    assert_eq!(outcome.code(), Some(1), "{outcome}");
    let outcome = conform(&[&["--expect", known.to_str().unwrap()], &arguments[..]].concat()).run();
    assert!(outcome.is_success(), "{outcome}");
    for words in [
        "known: it has codes of its own",
        "CF-001 passes, which was not expected",
    ] {
        assert!(outcome.stdout.contains(words), "{words}: {outcome}");
    }
}

#[test]
fn every_case_is_listed_with_its_level_and_section() {
    let outcome = conform(&["--list"]).run();
    assert!(outcome.is_success(), "{outcome}");
    assert_eq!(
        outcome.stdout.lines().count(),
        netloom_conform::all().count()
    );
    assert!(netloom_conform::all().count() >= 120);
    let listed = document(&conform(&["--list", "--json"]).run());
    assert_eq!(listed[0]["id"], "CF-001");
    assert_eq!(listed[0]["classes"].as_array().unwrap().len(), 4);
}

#[test]
fn a_plugin_whose_add_fails_fails_one_case_of_add_and_the_rest_is_skipped() {
    let Some(_host) = Host::new() else { return };
    let project = project();
    let Some(plugin) = made("shell", &project.path().join("hello")) else {
        return;
    };
    let wrong = fs::read_to_string(&plugin).unwrap();
    let wrong = wrong.replacen("ADD)\n", "ADD)\n    fail 100 'not today'\n", 1);
    fs::write(&plugin, wrong).unwrap();
    let only: Vec<&str> = ["201", "202", "301", "501", "601"].to_vec();
    let ids: Vec<String> = only.iter().map(|id| format!("CF-{id}")).collect();
    let mut arguments = vec!["--json", "--class", "chained", plugin.as_str()];
    for id in &ids {
        arguments.extend(["--only", id.as_str()]);
    }
    let document = document(&conform(&arguments).run());
    let cases = document["plugins"][0]["cases"].as_array().unwrap();
    let verdicts: Vec<&str> = cases
        .iter()
        .map(|it| it["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(
        verdicts,
        ["failed", "skipped", "skipped", "skipped", "skipped"]
    );
    assert!(cases[1]["words"].as_str().unwrap().contains("not today"));
}

#[test]
fn misuse_is_one_error_with_status_2_and_runs_nothing() {
    let project = project();
    let plugin = project.path().join("touches");
    let mark = project.path().join("was-run");
    fs::write(&plugin, format!("#!/bin/sh\n: >{}\n", mark.display())).unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    let (plugin, text) = (plugin.to_str().unwrap(), project.path().join("text"));
    fs::write(&text, "hello").unwrap();
    let text = text.to_str().unwrap();
    let cases: [(&[&str], &str); 13] = [
        (&[], "PLUGIN"),
        (&["/nonexistent/plugin"], "/nonexistent/plugin"),
        (&["/var/tmp"], "is no file"),
        (&["--only", "CF-999", plugin], "CF-999"),
        (&["--only", "1", plugin], "--list"),
        (&["--class", "cable", plugin], "cable"),
        (&["--level", "most", plugin], "most"),
        (
            &["--conf", "/nonexistent.conf", plugin],
            "/nonexistent.conf",
        ),
        (&["--conf", text, plugin], "text"),
        (
            &["--expect", "/nonexistent.txt", plugin],
            "/nonexistent.txt",
        ),
        (&["--expect", text, plugin], "expected PLUGIN ID WORDS"),
        (
            &["--junit", "/nonexistent/report.xml", plugin],
            "/nonexistent/report.xml",
        ),
        (&["--self", plugin], "--self"),
    ];
    for (arguments, words) in cases {
        let outcome = conform(arguments).run();
        assert_eq!(outcome.code(), Some(2), "{arguments:?}: {outcome}");
        assert!(outcome.stderr.contains(words), "{arguments:?}: {outcome}");
        assert!(!mark.exists(), "{arguments:?}");
    }
}
