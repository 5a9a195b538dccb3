//! The bill of materials: which crates, in which versions and under which licenses, are linked into the
//! programs. `CycloneDX` 1.5, from `Cargo.lock`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{HOME, Release, SUMMARY, daemon};
use crate::process;

/// The crates of the programs that are always there.
const PROGRAMS: [&str; 2] = ["netloom", "netloom-plugins"];

pub(super) fn make(release: &Release<'_>) -> Result<PathBuf> {
    let target = super::Linking::of_this_machine()?.target();
    let arguments = [
        "metadata",
        "--format-version=1",
        "--locked",
        "--filter-platform",
        &target,
    ];
    let metadata = process::output(&mut release.workspace.cargo(&arguments))?;
    let metadata: Value = serde_json::from_slice(&metadata)?;
    let lock = fs::read_to_string(release.workspace.root.join("Cargo.lock"))?;
    let mut programs = PROGRAMS.to_vec();
    programs.extend(release.daemon().map(|_| daemon::NAME));
    let bom = bom(&metadata, &programs, &sums(&lock)?, release.version())?;
    let to = release.out.join(format!("{}.cdx.json", release.stem()?));
    fs::write(&to, serde_json::to_string_pretty(&bom)? + "\n")?;
    Ok(to)
}

/// The SHA-256 of each crate of the registry, by name and version.
fn sums(lock: &str) -> Result<BTreeMap<(String, String), String>> {
    let lock: toml::Table = lock.parse().context("Cargo.lock")?;
    let packages = lock.get("package").and_then(toml::Value::as_array);
    let text = |package: &toml::Value, key: &str| -> Option<String> {
        Some(package.get(key)?.as_str()?.to_owned())
    };
    let each = packages.into_iter().flatten();
    Ok(each
        .filter_map(|it| {
            let key = (text(it, "name")?, text(it, "version")?);
            Some((key, text(it, "checksum")?))
        })
        .collect())
}

fn bom(
    metadata: &Value,
    programs: &[&str],
    sums: &BTreeMap<(String, String), String>,
    version: &str,
) -> Result<Value> {
    let packages = metadata["packages"].as_array().context("no packages")?;
    let linked = linked(metadata, packages, programs);
    let text = |package: &Value, key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let mut components: Vec<Value> = Vec::new();
    for package in packages {
        let (name, version) = (text(package, "name"), text(package, "version"));
        if !linked.contains_key(&text(package, "id")) {
            continue;
        }
        let purl = format!("pkg:cargo/{name}@{version}");
        let mut component = json!({
            "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
            "licenses": [{ "expression": text(package, "license").replace('/', " OR ") }],
        });
        if let Some(sum) = sums.get(&(name, version)) {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
        }
        components.push(component);
    }
    components.sort_by_key(|it| it["purl"].as_str().map(str::to_owned));
    let purls: BTreeMap<String, String> = packages
        .iter()
        .map(|it| {
            let purl = format!("pkg:cargo/{}@{}", text(it, "name"), text(it, "version"));
            (text(it, "id"), purl)
        })
        .collect();
    let mut dependencies: Vec<Value> = linked
        .iter()
        .filter_map(|(id, on)| {
            let on: BTreeSet<_> = on.iter().filter_map(|it| purls.get(it)).collect();
            Some(json!({ "ref": purls.get(id)?, "dependsOn": on }))
        })
        .collect();
    dependencies.sort_by_key(|it| it["ref"].as_str().map(str::to_owned));
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": {
            "type": "application", "name": "netloom", "version": version, "description": SUMMARY,
            "licenses": [{ "expression": "Apache-2.0" }],
            "externalReferences": [{ "type": "website", "url": HOME }],
        }},
        "components": components,
        "dependencies": dependencies,
    }))
}

/// What is linked into the programs, with what each of it depends on: neither what only tests nor what
/// only builds use.
fn linked(
    metadata: &Value,
    packages: &[Value],
    programs: &[&str],
) -> BTreeMap<String, Vec<String>> {
    let is_program = |it: &&Value| programs.iter().any(|name| it["name"] == *name);
    let id = |it: &Value| it["id"].as_str().map(str::to_owned);
    let mut open: Vec<String> = packages.iter().filter(is_program).filter_map(id).collect();
    let nodes = metadata["resolve"]["nodes"].as_array();
    let mut linked = BTreeMap::new();
    while let Some(next) = open.pop() {
        if linked.contains_key(&next) {
            continue;
        }
        let node = nodes.and_then(|all| all.iter().find(|it| it["id"] == next.as_str()));
        let is_linked = |dependency: &&Value| {
            let kinds = dependency["dep_kinds"].as_array();
            kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
        };
        let dependencies = node.and_then(|node| node["deps"].as_array());
        let on: Vec<String> = dependencies
            .into_iter()
            .flatten()
            .filter(is_linked)
            .filter_map(|it| it["pkg"].as_str().map(str::to_owned))
            .collect();
        open.extend(on.iter().cloned());
        linked.insert(next, on);
    }
    linked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_tests_use_is_not_in_the_bill() {
        let package = |name: &str| json!({ "name": name, "version": "1", "id": name, "license": "MIT/Apache-2.0" });
        let dependency =
            |name: &str, kind: Value| json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] });
        let packages = ["netloom", "used", "deep", "test"].map(package);
        let metadata = json!({
            "packages": packages,
            "resolve": { "nodes": [
                { "id": "netloom", "deps": [dependency("used", Value::Null), dependency("test", "dev".into())] },
                { "id": "used", "deps": [dependency("deep", Value::Null)] },
            ]},
        });
        let lock = "[[package]]\nname = \"used\"\nversion = \"1\"\nchecksum = \"ab\"\n";
        let bom = bom(&metadata, &PROGRAMS, &sums(lock).unwrap(), "1").unwrap();
        let names: Vec<_> = bom["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| &it["name"])
            .collect();
        assert_eq!(names, ["deep", "netloom", "used"]);
        assert_eq!(bom["components"][2]["hashes"][0]["content"], "ab");
        assert_eq!(
            bom["components"][0]["licenses"][0]["expression"],
            "MIT OR Apache-2.0"
        );
        assert_eq!(
            bom["dependencies"][1],
            json!({ "ref": "pkg:cargo/netloom@1", "dependsOn": ["pkg:cargo/used@1"] })
        );
    }
}
