//! The graph of imports between the crates, and what every manifest must say.

use toml::{Table, Value};

use super::Finding;
use super::tree::{Manifest, Tree};

/// Each crate, and what it may import. `None`: any.
const ALLOWED: &[(&str, Option<&[&str]>)] = &[
    ("netloom-spec", Some(&[])),
    ("netloom-invoke", Some(&["netloom-spec"])),
    ("netloom-runtime", Some(&["netloom-invoke", "netloom-spec"])),
    ("netloom-plugin", Some(&["netloom-invoke", "netloom-spec"])),
    ("netloom-kernel", Some(&[])),
    // It knows nothing of CNI, as the kernel crate.
    ("netloom-observe", Some(&["netloom-kernel"])),
    // Of the spec, only how names and hardware addresses are written.
    ("netloom-links", Some(&["netloom-kernel", "netloom-spec"])),
    // Pure: of the spec, the codes of errors.
    ("netloom-cluster", Some(&["netloom-spec"])),
    (
        "netloom-plugins",
        Some(&[
            "netloom-plugin",
            "netloom-kernel",
            "netloom-links",
            "netloom-cluster",
            "netloom-spec",
        ]),
    ),
    (
        "netloom-run",
        Some(&["netloom-runtime", "netloom-kernel", "netloom-spec"]),
    ),
    (
        "netloom",
        Some(&[
            "netloom-run",
            "netloom-runtime",
            "netloom-plugins",
            "netloom-spec",
            "netloom-invoke",
            "netloom-plugin",
            "netloom-kernel",
            "netloom-observe",
            "netloom-links",
        ]),
    ),
    // The only program with an async runtime; the command executes it.
    (
        "netloom-node",
        Some(&["netloom-cluster", "netloom-kernel", "netloom-spec"]),
    ),
    ("netloom-testkit", None),
    // The floor alone, and only where it is linked with musl: the tasks must build when the others do not.
    ("xtask", Some(&["netloom-kernel"])),
];

/// Only for tests: never in a program that is delivered.
const TESTKIT: &str = "netloom-testkit";

pub(crate) fn allowed_imports(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for manifest in &tree.manifests {
        let Some((_, allowed)) = ALLOWED.iter().find(|(krate, _)| *krate == manifest.krate) else {
            findings.push(finding(
                manifest,
                "the crate is not in tidy's table of imports".into(),
            ));
            continue;
        };
        for (kind, import) in imports(&manifest.table) {
            let for_tests = kind == "dev-dependencies" && import == TESTKIT;
            if !for_tests && allowed.is_some_and(|allowed| !allowed.contains(&import.as_str())) {
                let message = format!("{} may not import {import} ({kind})", manifest.krate);
                findings.push(finding(manifest, message));
            }
        }
    }
    findings
}

pub(crate) fn workspace_lints(tree: &Tree) -> Vec<Finding> {
    let takes = |manifest: &&Manifest| {
        let lints = manifest
            .table
            .get("lints")
            .and_then(|lints| lints.get("workspace"));
        lints.and_then(Value::as_bool) == Some(true)
    };
    let without = tree.manifests.iter().filter(|manifest| !takes(manifest));
    without
        .map(|manifest| finding(manifest, "lacks [lints] workspace = true".into()))
        .collect()
}

fn finding(manifest: &Manifest, message: String) -> Finding {
    Finding {
        path: manifest.path.clone(),
        line: None,
        message,
    }
}

/// The workspace's crates that a manifest names, each with the kind of dependency, for any target.
fn imports(manifest: &Table) -> Vec<(&'static str, String)> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = targets
        .into_iter()
        .flat_map(Table::values)
        .filter_map(Value::as_table);
    let mut found = Vec::new();
    for table in std::iter::once(manifest).chain(tables) {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = table.get(kind).and_then(Value::as_table) else {
                continue;
            };
            for (key, value) in dependencies {
                let renamed = value.get("package").and_then(Value::as_str);
                let name = renamed.unwrap_or(key);
                if ALLOWED.iter().any(|(krate, _)| *krate == name) {
                    found.push((kind, name.to_owned()));
                }
            }
        }
    }
    found
}
