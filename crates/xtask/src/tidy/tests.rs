//! Each rule against a tree that breaks it and one that does not.

use std::fs;
use std::path::Path;

use super::*;

const MANIFEST: &str = "[package]\nname = \"x\"\npublish = false\n[lints]\nworkspace = true\n";

/// A workspace of the given files; every crate that has none gets a manifest without fault.
fn findings(files: &[(&str, &str)]) -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let krate: std::path::PathBuf = Path::new(path).iter().take(2).collect();
        let manifest = root.path().join(krate).join("Cargo.toml");
        fs::create_dir_all(root.path().join(path).parent().unwrap()).unwrap();
        if !manifest.exists() {
            fs::create_dir_all(manifest.parent().unwrap()).unwrap();
            fs::write(&manifest, MANIFEST).unwrap();
        }
        fs::write(root.path().join(path), text).unwrap();
    }
    let outcome = check(root.path()).unwrap();
    outcome
        .iter()
        .flat_map(|(_, findings)| findings.iter().map(ToString::to_string))
        .collect()
}

#[test]
fn a_tidy_tree_has_no_findings() {
    assert_eq!(
        findings(&[
            (
                "crates/netloom-spec/src/lib.rs",
                "//! Types.\n// unsafe, todo!() and \"unsafe\"\n"
            ),
            (
                "crates/netloom-kernel/src/lib.rs",
                "//! Kernel.\n// SAFETY: the pointer comes from a reference.\nfn f() { unsafe {} }\n",
            ),
            (
                "crates/netloom-plugins/src/lib.rs",
                "//! Plugins.\nuse crate::interface::ptp::PTP;\n"
            ),
            (
                "crates/netloom-plugins/src/interface/ptp.rs",
                "use crate::wiring::veth;\nuse super::ptp::A;\n"
            ),
        ]),
        [""; 0],
    );
}

#[test]
fn an_import_against_the_table_is_found_however_it_is_written() {
    for dependency in [
        "[dependencies]\nnetloom-plugin.workspace = true",
        "[dependencies.netloom-plugin]\nworkspace = true",
        "[target.'cfg(unix)'.dependencies]\nnetloom-plugin = { path = \"..\" }",
        "[dependencies]\nother = { package = \"netloom-plugin\", path = \"..\" }",
        "[build-dependencies]\nnetloom-plugin.workspace = true",
    ] {
        let manifest = format!("{dependency}\n{MANIFEST}");
        let found = findings(&[("crates/netloom-kernel/Cargo.toml", &manifest)]);
        assert_eq!(found.len(), 1, "{dependency}: {found:?}");
        assert!(
            found[0].contains("netloom-kernel may not import netloom-plugin"),
            "{found:?}"
        );
    }
}

#[test]
fn the_testkit_is_for_tests_only() {
    let with = |kind: &str| format!("[{kind}]\nnetloom-testkit.workspace = true\n{MANIFEST}");
    assert_eq!(
        findings(&[(
            "crates/netloom-plugins/Cargo.toml",
            &with("dev-dependencies")
        )]),
        [""; 0]
    );
    assert_eq!(
        findings(&[("crates/netloom-plugins/Cargo.toml", &with("dependencies"))]).len(),
        1
    );
}

#[test]
fn a_crate_outside_the_table_is_found() {
    let found = findings(&[("crates/netloom-extra/src/lib.rs", "//! Extra.\n")]);
    assert_eq!(
        found,
        ["crates/netloom-extra/Cargo.toml: the crate is not in tidy's table of imports"]
    );
}

#[test]
fn a_manifest_without_the_workspace_lints_is_found() {
    let found = findings(&[(
        "crates/netloom-spec/Cargo.toml",
        "[package]\nname = \"x\"\npublish = false\n",
    )]);
    assert_eq!(
        found,
        ["crates/netloom-spec/Cargo.toml: lacks [lints] workspace = true"]
    );
}

#[test]
fn what_a_published_crate_lacks_is_found() {
    let manifest = "[package]\nname = \"netloom-spec\"\ndescription = \"d\"\nlicense = \"l\"\n\
        repository = \"r\"\nreadme = \"README.md\"\nkeywords = []\n[lints]\nworkspace = true\n";
    let found = findings(&[
        ("crates/netloom-spec/Cargo.toml", manifest),
        ("crates/netloom-spec/LICENSE", "text"),
        (
            "crates/netloom-spec/../../Cargo.toml",
            "[workspace.dependencies]\nnetloom-spec = { path = \"x\" }\n",
        ),
    ]);
    let at = "crates/netloom-spec/Cargo.toml: ";
    assert_eq!(
        found,
        [
            format!("{at}[package] lacks categories"),
            format!("{at}lacks [package.metadata.docs.rs] with its targets"),
            format!("{at}has no README.md beside it (LICENSE: a link to ../../LICENSE)"),
            format!("{at}lacks a version beside its path in [workspace.dependencies]"),
        ]
    );
}

#[test]
fn plugins_that_import_each_other_are_found() {
    for (path, code) in [
        ("interface/ptp.rs", "use crate::interface::bridge::Plan;"),
        (
            "interface/ptp.rs",
            "use crate::{wiring::veth, ipam::{host_local::Store, dhcp}};",
        ),
        ("interface/ptp.rs", "use super::bridge;"),
        ("interface/bridge/plan.rs", "use super::super::ptp::Plan;"),
        ("chained/tuning.rs", "fn f() { crate::chained::sbr::g(); }"),
        ("wiring/veth.rs", "use crate::interface::bridge::Plan;"),
    ] {
        let path = format!("crates/netloom-plugins/src/{path}");
        let found = findings(&[(&path, &format!("\n{code}\n"))]);
        assert!(!found.is_empty(), "{code} in {path}");
        assert!(
            found
                .iter()
                .all(|text| text.starts_with(&format!("{path}:2:"))),
            "{found:?}"
        );
    }
}

#[test]
fn a_plugin_may_use_its_own_parts() {
    let path = "crates/netloom-plugins/src/interface/bridge/plan.rs";
    let code =
        "use super::config::Config;\nuse crate::interface::bridge::vlan;\nuse crate::wiring;\n";
    assert_eq!(findings(&[(path, code)]), [""; 0]);
}

#[test]
fn modules_that_import_each_other_in_a_circle_are_found_unless_they_are_fuzzing() {
    let circle = |other: &str| {
        let (import, back) = (format!("use super::{other}::f;\n"), "use super::a::f;\n");
        findings(&[
            ("crates/netloom-spec/src/a.rs", &import),
            (&format!("crates/netloom-spec/src/{other}.rs"), back),
        ])
    };
    assert_eq!(
        circle("b"),
        ["crates/netloom-spec/src/a.rs:1: a circle of modules: a → b → a"]
    );
    assert_eq!(circle("fuzzing"), [""; 0]);
}

#[test]
fn a_long_file_is_found_but_its_tests_do_not_count() {
    let path = "crates/netloom-spec/src/a.rs";
    let lines = |count: usize| "fn f() {}\n".repeat(count);
    assert_eq!(findings(&[(path, &lines(501))]).len(), 1);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", lines(600));
    let with_tests = |before, after| format!("{}{tests}{}", lines(before), lines(after));
    assert_eq!(findings(&[(path, &with_tests(500, 0))]), [""; 0]);
    assert_eq!(findings(&[(path, &with_tests(300, 200))]), [""; 0]);
    assert_eq!(findings(&[(path, &with_tests(300, 201))]).len(), 1);
    assert_eq!(
        findings(&[("crates/netloom-spec/tests/a.rs", &lines(700))]),
        [""; 0]
    );
}

#[test]
fn a_long_function_is_found_but_neither_its_comments_nor_tests() {
    let path = "crates/netloom-spec/src/a.rs";
    let function = |line: &str, count| format!("\nfn f() {{\n{}}}\n", line.repeat(count));
    let found = findings(&[(path, &function("    g();\n", 59))]);
    assert_eq!(
        found,
        [format!("{path}:2: function f has 61 lines, more than 60")]
    );
    assert_eq!(findings(&[(path, &function("    g();\n", 58))]), [""; 0]);
    assert_eq!(
        findings(&[(path, &function("    // Why.\n\n", 90))]),
        [""; 0]
    );
    let tests = format!("#[cfg(test)]\nmod tests {{{}}}", function("    g();\n", 90));
    assert_eq!(findings(&[(path, &tests)]), [""; 0]);
}

#[test]
fn a_crate_without_documentation_is_found() {
    let found = findings(&[(
        "crates/netloom-spec/src/lib.rs",
        "pub fn f() {}\n//! Late.\n",
    )]);
    assert_eq!(
        found,
        ["crates/netloom-spec/src/lib.rs:1: does not begin with //! and what the crate is"]
    );
}

#[test]
fn unfinished_code_is_found() {
    let found = findings(&[("crates/netloom-spec/src/a.rs", "fn f() {\n    todo!()\n}\n")]);
    assert_eq!(found, ["crates/netloom-spec/src/a.rs:2: todo! is left"]);
}

#[test]
fn names_that_say_nothing_are_found() {
    for path in [
        "src/utils.rs",
        "src/common/a.rs",
        "tests/common/mod.rs",
        "src/store/store.rs",
    ] {
        let path = format!("crates/netloom-spec/{path}");
        assert_eq!(findings(&[(&path, "")]).len(), 1, "{path}");
    }
}

#[test]
fn unsafe_outside_the_kernel_crate_is_found() {
    let found = findings(&[("crates/netloom-spec/src/a.rs", "\nfn f() { unsafe {} }\n")]);
    assert_eq!(
        found,
        ["crates/netloom-spec/src/a.rs:2: unsafe outside netloom-kernel"]
    );
}

#[test]
fn unsafe_without_its_reason_is_found() {
    let path = "crates/netloom-kernel/src/a.rs";
    let code = "// SAFETY: as documented.\nunsafe { a() };\nunsafe { b() };\n";
    let found = findings(&[(path, code)]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(&format!("{path}:3:")), "{found:?}");
}

#[test]
fn a_plugins_name_is_compared_and_listed_by_the_plugin_alone() {
    let plugin = |name: &str, rest: &str| {
        format!(
            "impl Plugin for P {{\n    fn name(&self) -> &'static str {{\n        \"{name}\"\n    }}\n}}\n{rest}"
        )
    };
    let (sbr, ptp) = (
        plugin("sbr", "fn f(x: &str) -> bool { x == \"sbr\" }\n"),
        plugin("ptp", ""),
    );
    let of = |path: &str, code: &str| {
        let code = format!("//! Documentation, of \"ptp\" == \"sbr\".\n{code}\n");
        let mut found = findings(&[
            ("crates/netloom-plugins/src/chained/sbr.rs", &sbr),
            ("crates/netloom-plugins/src/interface/ptp.rs", &ptp),
            (path, &code),
        ]);
        found.retain(|it| it.contains("the plugin's name"));
        found
    };
    for code in [
        "fn f() -> bool { conf.plugin_type() == \"ptp\" }",
        "fn f() -> bool { \"ptp\" != conf.plugin_type() }",
        "fn f() -> bool { conf.ipam_type() == Some(\"ptp\") }",
        "fn f() { match x { \"ptp\" => {} _ => {} } }",
        "fn f() { match x { Some(\"ptp\") if y => {} _ => {} } }",
        "fn f() -> bool { matches!(x, \"ptp\" | \"other\") }",
    ] {
        for path in [
            "crates/netloom/src/main.rs",
            "crates/netloom-plugins/src/wiring/veth.rs",
            "crates/netloom-plugins/src/chained/other.rs",
        ] {
            let found = of(path, code);
            assert_eq!(found.len(), 1, "{code}: {found:?}");
            assert!(found[0].contains("\"ptp\"; ask the plugin"), "{found:?}");
        }
        assert_eq!(of("crates/netloom-testkit/src/lib.rs", code), [""; 0]);
    }
    let list = "const NAMES: [&str; 2] = [\n    \"sbr\",\n    \"ptp\",\n];";
    let found = of("crates/netloom/src/main.rs", list);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains(":3: lists"), "{found:?}");
    for code in [
        "fn f() -> Value { json!({\"type\": \"ptp\"}) }",
        "const KINDS: [(&str, u8); 1] = [(\"ptp\", 1)];",
        "const NAME: &str = \"ptp\";",
        "fn f() -> bool {\n    // This is no plugin's name, but a keyword.\n    x == \"ptp\"\n}",
        "const WORDS: [&str; 2] = [\"ptp\", \"other\"];",
        "#[cfg(test)]\nmod tests { fn f() -> bool { x == \"ptp\" } }",
    ] {
        assert_eq!(of("crates/netloom/src/main.rs", code), [""; 0], "{code}");
    }
}
