//! The nf_tables ruleset of all families.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Found, Kind, documents, elements, strip, text};

/// Members that the kernel counts or numbers.
const PASSING: [&str; 5] = ["handle", "packets", "bytes", "expires", "used"];

/// Everything `nft list ruleset` shows in the namespace of the calling thread.
pub(super) fn observe() -> Found {
    let mut documents = match documents("nft", &["-j", "list", "ruleset"], "") {
        Ok(documents) => documents,
        Err(error) => panic!("nft -j list ruleset: {error}"),
    };
    let objects = documents.pop().map(|mut d| d["nftables"].take());
    let mut found = Found::new();
    let mut rules: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for object in elements(objects.unwrap_or_default()) {
        let Value::Object(members) = object else {
            continue;
        };
        for (kind, mut value) in members {
            strip(&mut value, &PASSING);
            let chain = address(&value, text(&value, "chain"));
            match kind.as_str() {
                "metainfo" => {}
                "rule" => rules.entry(chain).or_default().push(rule(value)),
                _ => found.push(object_of(&kind, value)),
            }
        }
    }
    for (kind, name, value) in &mut found {
        if *kind == Kind::NftChain {
            value["rules"] = json!(rules.remove(name).unwrap_or_default());
        }
    }
    found
}

/// Whether rules use extensions of iptables (`xt`).
pub(super) fn has_extensions(found: &Found) -> bool {
    let mut rules = found
        .iter()
        .flat_map(|(.., value)| elements(value["rules"].clone()));
    rules.any(|rule| {
        elements(rule["expr"].clone())
            .iter()
            .any(|e| e.get("xt").is_some())
    })
}

/// `family table name`, the name under which the kernel finds an object of a table.
fn address(value: &Value, name: &str) -> String {
    format!("{} {} {name}", text(value, "family"), text(value, "table"))
}

/// What a rule does and says; where it is, is told by its chain.
fn rule(mut value: Value) -> Value {
    json!({"expr": value["expr"].take(), "comment": value["comment"].take()})
}

fn object_of(kind: &str, mut value: Value) -> (Kind, String, Value) {
    let name = address(&value, text(&value, "name"));
    match kind {
        "table" => {
            let name = format!("{} {}", text(&value, "family"), text(&value, "name"));
            (Kind::NftTable, name, value)
        }
        "chain" => (Kind::NftChain, name, value),
        "set" | "map" => {
            let mut members = elements(value["elem"].take());
            members.sort_by_key(Value::to_string);
            value["elem"] = Value::Array(members);
            (Kind::NftSet, name, value)
        }
        _ => (Kind::NftObject, format!("{kind} {name}"), value),
    }
}
