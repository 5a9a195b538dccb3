//! What programs are linked with, by `Cargo.lock`.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use super::Finding;
use super::tree::Tree;

/// Programs that must stay free of an async runtime: plugins start with every pod.
const FREE: [&str; 2] = ["netloom-plugins", "netloom"];
/// What brings one in, directly or not.
const RUNTIMES: [&str; 2] = ["tokio", "async-std"];

pub(crate) fn free_of_runtimes(tree: &Tree) -> Vec<Finding> {
    let Some(lock) = &tree.lock else {
        return Vec::new();
    };
    let imports = imports(lock);
    let mut findings = Vec::new();
    for program in FREE {
        for runtime in RUNTIMES {
            if let Some(way) = way(&imports, program, runtime) {
                findings.push(Finding {
                    path: "Cargo.lock".into(),
                    line: None,
                    message: format!("{program} is linked with {runtime}: {}", way.join(" -> ")),
                });
            }
        }
    }
    findings
}

/// Which packages each package names, whatever their versions. Tests' own are among them: they may be no more.
fn imports(lock: &toml::Table) -> BTreeMap<&str, Vec<&str>> {
    let packages = lock.get("package").and_then(Value::as_array);
    let mut imports: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages.into_iter().flatten() {
        let Some(name) = package.get("name").and_then(Value::as_str) else {
            continue;
        };
        let named = package.get("dependencies").and_then(Value::as_array);
        let named = named.into_iter().flatten().filter_map(Value::as_str);
        let names = named.filter_map(|text| text.split(' ').next());
        imports.entry(name).or_default().extend(names);
    }
    imports
}

/// The shortest way from a package to another.
fn way(imports: &BTreeMap<&str, Vec<&str>>, from: &str, to: &str) -> Option<Vec<String>> {
    let mut seen = BTreeSet::from([from.to_owned()]);
    let mut ways = vec![vec![from.to_owned()]];
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            let named = way.last().and_then(|last| imports.get(last.as_str()));
            for name in named.into_iter().flatten() {
                let next = [way.as_slice(), &[(*name).to_owned()]].concat();
                if *name == to {
                    return Some(next);
                }
                if seen.insert((*name).to_owned()) {
                    longer.push(next);
                }
            }
        }
        ways = longer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_found_through_other_packages() {
        let lock: toml::Table = r#"
            [[package]]
            name = "netloom"
            dependencies = ["netloom-run", "serde 1.0.0"]
            [[package]]
            name = "netloom-run"
            dependencies = ["hyper 1.0.0"]
            [[package]]
            name = "hyper"
            dependencies = ["tokio"]
            [[package]]
            name = "netloom-node"
            dependencies = ["tokio"]
        "#
        .parse()
        .unwrap();
        let imports = imports(&lock);
        let found = way(&imports, "netloom", "tokio").unwrap();
        assert_eq!(found, ["netloom", "netloom-run", "hyper", "tokio"]);
        assert_eq!(way(&imports, "netloom", "async-std"), None);
        assert_eq!(way(&imports, "netloom-plugins", "tokio"), None);
    }
}
