//! What a crate needs to be published, unless it says that it is not.

use toml::{Table, Value};

use super::Finding;
use super::tree::{Manifest, Tree};

/// The keys of `[package]` that crates.io shows or wants.
const KEYS: [&str; 6] = [
    "description",
    "license",
    "repository",
    "readme",
    "keywords",
    "categories",
];

/// Every crate can be published with `cargo publish`, or has `publish = false`.
pub(crate) fn ready(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for manifest in tree.manifests.iter().filter(|it| is_published(it)) {
        let package = manifest.table.get("package");
        let lacks = |key: &&&str| package.is_none_or(|it| it.get(**key).is_none());
        for key in KEYS.iter().filter(lacks) {
            findings.push(finding(manifest, format!("[package] lacks {key}")));
        }
        let docs = package.and_then(|it| it.get("metadata")?.get("docs")?.get("rs"));
        if docs.is_none() {
            let message = "lacks [package.metadata.docs.rs] with its targets";
            findings.push(finding(manifest, message.to_owned()));
        }
        for file in ["README.md", "LICENSE"] {
            if !tree
                .root
                .join(&manifest.path)
                .with_file_name(file)
                .is_file()
            {
                let message = format!("has no {file} beside it (LICENSE: a link to ../../LICENSE)");
                findings.push(finding(manifest, message));
            }
        }
    }
    findings
}

/// A dependency on a crate that is published has a version beside its path; one on another has none, so
/// that cargo leaves it out of what is published.
pub(crate) fn versions(tree: &Tree) -> Vec<Finding> {
    let dependencies = tree
        .workspace
        .get("workspace")
        .and_then(|it| it.get("dependencies"))
        .and_then(Value::as_table);
    let mut findings = Vec::new();
    for manifest in &tree.manifests {
        let Some(here) = dependencies.and_then(|it| it.get(&manifest.krate)) else {
            continue;
        };
        let message = match (is_published(manifest), here.get("version").is_some()) {
            (true, false) => "lacks a version beside its path in [workspace.dependencies]",
            (false, true) => "has a version in [workspace.dependencies], but is not published",
            _ => continue,
        };
        findings.push(finding(manifest, message.to_owned()));
    }
    findings
}

/// The oldest Rust that is promised is the one that every test runs with.
pub(crate) fn oldest_rust(tree: &Tree) -> Vec<Finding> {
    let text = |table: &Table, keys: &[&str]| -> Option<String> {
        let (last, path) = keys.split_last()?;
        let inner = path
            .iter()
            .try_fold(table, |it, key| it.get(*key)?.as_table())?;
        Some(inner.get(*last)?.as_str()?.to_owned())
    };
    let promised = text(&tree.workspace, &["workspace", "package", "rust-version"]);
    let tested = text(&tree.toolchain, &["toolchain", "channel"]);
    let is_same = match (&promised, &tested) {
        (Some(promised), Some(tested)) => {
            tested == promised || tested.strip_suffix(".0") == Some(promised)
        }
        _ => true,
    };
    let message = format!(
        "rust-version is {}, but rust-toolchain.toml, with which tests run, has {}",
        promised.unwrap_or_default(),
        tested.unwrap_or_default()
    );
    let found = (!is_same).then(|| Finding {
        path: "Cargo.toml".into(),
        line: None,
        message,
    });
    found.into_iter().collect()
}

fn is_published(manifest: &Manifest) -> bool {
    let publish = manifest
        .table
        .get("package")
        .and_then(|it| it.get("publish"));
    publish.and_then(Value::as_bool) != Some(false)
}

fn finding(manifest: &Manifest, message: String) -> Finding {
    Finding {
        path: manifest.path.clone(),
        line: None,
        message,
    }
}
