//! What the documentation shows is right.

use std::fs;
use std::path::Path;

use crate::findings;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/plugins");

/// The blocks of a page that are configurations.
fn examples(page: &str) -> Vec<String> {
    let blocks = page.split("\n```json add").skip(1);
    blocks
        .map(|block| {
            let body = block.split_once('\n').unwrap().1;
            body.split("\n```").next().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn nothing_is_found_in_any_example_of_the_documentation() {
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    for entry in fs::read_dir(DOCS).unwrap() {
        let page = entry.unwrap().path();
        for example in examples(&fs::read_to_string(&page).unwrap()) {
            let name = match example.contains("\"plugins\"") {
                true => "example.conflist",
                false => "example.conf",
            };
            let file = folder.path().join(name);
            fs::write(&file, &example).unwrap();
            assert_eq!(
                findings(&file),
                [] as [serde_json::Value; 0],
                "{}:\n{example}",
                page.display()
            );
            count += 1;
        }
    }
    assert!(count > 40, "only {count} examples");
}

/// The keys of the tables under "Configuration" of every page are known, in this spelling.
#[test]
fn every_documented_key_is_known() {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(DOCS).unwrap() {
        let page = entry.unwrap().path();
        let plugin = page.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&page).unwrap();
        let section = text.split("## Configuration").nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        for key in documented(section) {
            let unknown = unknown(folder.path(), &plugin, &key);
            assert!(unknown.is_none(), "{plugin}: {key}: {}", unknown.unwrap());
        }
    }
}

/// The first cells of the table whose head is `key`.
fn documented(section: &str) -> Vec<String> {
    let lines = section
        .lines()
        .skip_while(|line| !line.starts_with("| key "));
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let keys = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    keys.map(str::to_owned).collect()
}

fn unknown(folder: &Path, plugin: &str, key: &str) -> Option<String> {
    let file = folder.join("keys.conf");
    let is_ipam = matches!(
        plugin,
        "cluster" | "dhcp" | "host-local" | "static" | "whereabouts"
    );
    let mut value = serde_json::json!(null);
    for step in key.split('.').rev() {
        let name = step.trim_end_matches("[]");
        value = serde_json::json!({ name: value });
        if step.ends_with("[]") {
            value = serde_json::json!({ name: [value[name]] });
        }
    }
    let mut conf = serde_json::json!({"cniVersion": "1.1.0", "name": "n", "type": plugin});
    if is_ipam {
        conf["type"] = "ptp".into();
        let mut ipam = value.get("ipam").cloned().unwrap_or(value);
        ipam["type"] = plugin.into();
        conf["ipam"] = ipam;
    } else {
        let all = conf.as_object_mut().unwrap();
        all.extend(value.as_object().unwrap().clone());
    }
    fs::write(&file, conf.to_string()).unwrap();
    let found = findings(&file);
    let found = found
        .iter()
        .find(|it| matches!(it["rule"].as_str(), Some("NL004" | "NL005")));
    found.map(|it| format!("{} in {conf}", it["message"]))
}
