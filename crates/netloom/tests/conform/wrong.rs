//! Plugins that are wrong in one way, each found by its case.

use std::fs;
use std::path::Path;

use netloom_testkit::{Host, Sample, product, skip};

use crate::{NETLOOM, conform, document, failed, long_run, made, project};

/// What is put in place of a part of the right plugin, and the cases that find it.
const WRONG: [(&str, &str, &str, &[&str]); 15] = [
    (
        "VERSION without supportedVersions",
        r#", "supportedVersions": ["0.4.0", "1.0.0", "1.1.0"]"#,
        "",
        &["CF-001", "CF-002", "CF-003"],
    ),
    (
        "any command is accepted",
        "*) fail 4 \"CNI_COMMAND is",
        "*) exit 0 ;; x) fail 4 \"CNI_COMMAND is",
        &["CF-004", "CF-005", "CF-056"],
    ),
    (
        "DEL does not ask for the container",
        "DEL) need CNI_CONTAINERID && need",
        "DEL) need",
        &["CF-010"],
    ),
    (
        "CHECK does not ask for the namespace",
        "ADD | CHECK) need CNI_CONTAINERID && need CNI_IFNAME && need CNI_NETNS ;;",
        "ADD) need CNI_CONTAINERID && need CNI_IFNAME && need CNI_NETNS ;; CHECK) need CNI_CONTAINERID && need CNI_IFNAME ;;",
        &["CF-013"],
    ),
    (
        "a container id may lead anywhere",
        "[!a-zA-Z0-9]* | *[!a-zA-Z0-9_.-]*) fail 4",
        "*[[:space:]]*) fail 4",
        &["CF-016", "CF-017"],
    ),
    (
        "an interface name may be longer than the kernel's",
        " | ????????????????*) fail 4",
        ") fail 4",
        &["CF-019"],
    ),
    (
        "broken JSON has another code",
        "fail 6 ",
        "fail 100 ",
        &["CF-032"],
    ),
    (
        "a name may lead out of a directory",
        "\"\" | [!a-zA-Z0-9]* | *[!a-zA-Z0-9_.-]*) fail 7",
        "\"\") fail 7",
        &["CF-038"],
    ),
    (
        "DEL prints what it got",
        "CHECK | DEL) ;;",
        "CHECK) ;; DEL) echo '{}' ;;",
        &["CF-051"],
    ),
    (
        "GC prints a greeting",
        "is of cniVersion 1.1.0, not $version\"",
        "is of cniVersion 1.1.0, not $version\"\n    [ $command = STATUS ] || echo done",
        &["CF-053"],
    ),
    (
        "the object of a failure has no cniVersion",
        "{cniVersion: $version, code: $code, msg: $msg}",
        "{code: $code, msg: $msg}",
        &["CF-056"],
    ),
    (
        "an unknown version has code 7",
        "*) fail 1 ",
        "*) fail 7 ",
        &["CF-057", "CF-058"],
    ),
    (
        "DEL fails for what is gone",
        "CHECK | DEL) ;;",
        "CHECK) ;; DEL) [ -e \"${CNI_NETNS:-/}\" ] || fail 3 gone ;;",
        &["CF-305", "CF-308", "CF-310", "CF-313"],
    ),
    (
        "the DNS of prevResult is lost",
        ".prevResult // ",
        "(.prevResult | del(.dns)) // ",
        &["CF-504"],
    ),
    (
        "ADD leaves a process that holds stdout",
        "CHECK | DEL) ;;",
        "CHECK | DEL) ;; x) ;; esac; case $command in ADD) sleep 60 & exit 0 ;; esac; case $command in ADD | CHECK | DEL) ;;",
        &["CF-604", "CF-606"],
    ),
];

#[test]
fn each_wrong_plugin_is_found_by_its_case_and_by_no_other() {
    let Some(_host) = Host::new() else { return };
    let project = project();
    let Some(plugin) = made("shell", &project.path().join("hello")) else {
        return;
    };
    let right = fs::read_to_string(&plugin).unwrap();
    let sample = Sample::of_this_run();
    for (number, (what, part, instead, expected)) in WRONG.into_iter().enumerate() {
        assert!(right.contains(part), "{what}: the template has no {part}");
        fs::write(&plugin, right.replacen(part, instead, 1)).unwrap();
        let mut arguments = vec!["--level", "extra", "--class", "chained", &plugin];
        // All cases of all these plugins take a quarter of an hour: a run asks all of some, and of the
        // others those that are to find them.
        if number % 3 != 0 || !sample.has(number) {
            arguments.extend(expected.iter().flat_map(|id| ["--only", id]));
        }
        let (document, status) = long_run(&arguments);
        assert_eq!(status, Some(1), "{what}");
        let found = failed(&document["plugins"][0]);
        let ids: Vec<&str> = found.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, expected, "{what}: {found:#?}");
    }
}

#[test]
fn plugins_in_shell_and_python_pass_as_they_come() {
    let Some(_host) = Host::new() else { return };
    for kind in ["shell", "python"] {
        let project = project();
        let Some(plugin) = made(kind, &project.path().join("hello")) else {
            return;
        };
        let (document, status) = long_run(&["--level", "extra", &plugin]);
        let found = &document["plugins"][0];
        assert_eq!(status, Some(0), "{kind}: {:#?}", failed(found));
        assert_eq!(found["class"], "chained");
        assert!(
            found["passed"].as_u64().unwrap() > 90,
            "{kind}: {}",
            found["passed"]
        );
    }
}

#[test]
fn a_reproducer_does_the_same_again_in_a_shell() {
    let Some(host) = Host::new() else { return };
    let project = project();
    let Some(plugin) = made("shell", &project.path().join("hello")) else {
        return;
    };
    let right = fs::read_to_string(&plugin).unwrap();
    fs::write(
        &plugin,
        right.replacen("CHECK | DEL) ;;", "CHECK) ;; DEL) echo leaked ;;", 1),
    )
    .unwrap();
    let outcome = conform(&["--json", "--only", "CF-051", &plugin]).run();
    let document = document(&outcome);
    let cases = document["plugins"][0]["cases"].as_array().unwrap();
    let line = cases[0]["reproducer"].as_str().unwrap();
    assert!(!line.contains('\n'), "{line}");
    assert_eq!(host.sh(line), "leaked\n", "{line}");
}

#[test]
fn anybody_may_run_the_kit() {
    let Some(host) = Host::new() else { return };
    let project = project();
    let Some(plugin) = made("shell", &project.path().join("hello")) else {
        return;
    };
    // The tree of a developer's is not everybody's.
    let program = project.path().join("netloom");
    fs::copy(product(Path::new(NETLOOM)), &program).unwrap();
    let program = program.display();
    let said = host.sh(&format!(
        "cd / && setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all \
         {program} conform --only CF-001 --only CF-301 --only CF-501 --class chained {plugin} 2>&1 || true"
    ));
    if said.contains("user namespaces") {
        return skip("this kernel refuses user namespaces to ordinary users");
    }
    assert!(
        said.contains("✔ hello (chained): 3 passed, 0 failed, 0 skipped"),
        "{said}"
    );
}
