//! The schema, which is made of the reference pages, has the types that the plugins decode.

use std::fs;

use netloom_testkit::Call;
use serde_json::{Value, json};

use crate::{NETLOOM, findings};

/// A value of a JSON type, and one of another that is not near it.
fn samples(kind: &str) -> Option<(Value, Value)> {
    Some(match kind {
        "boolean" => (json!(true), json!([])),
        "integer" | "number" => (json!(1), json!([])),
        "string" => (json!("x"), json!({})),
        "array" => (json!([]), json!({})),
        "object" => (json!({}), json!("x")),
        _ => return None,
    })
}

#[test]
fn the_types_of_the_schema_are_those_of_the_code() {
    let schema = Call::new(NETLOOM).arg("schema").run().succeeds();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.conf");
    let mut count = 0;
    for (plugin, definition) in schema["$defs"].as_object().unwrap() {
        let Some(properties) = definition["properties"]
            .as_object()
            .filter(|it| it.contains_key("type") && it["type"]["const"].is_string())
        else {
            continue;
        };
        for (key, property) in properties {
            let Some((right, wrong)) = property["type"].as_str().and_then(samples) else {
                continue;
            };
            let of_type = |value: &Value| {
                // What some of them cannot do without.
                let mut conf = json!({
                    "cniVersion": "1.1.0", "name": "n", "type": plugin, "ipam": {"type": "dhcp"},
                    "master": "eth0", "vlanId": 5, "vrfname": "red", "device": "eth1"
                });
                conf[key] = value.clone();
                fs::write(&file, conf.to_string()).unwrap();
                let all = findings(&file);
                let is_about = |it: &&Value| {
                    it["rule"] == "NL003" && it["message"].as_str().unwrap().contains(key.as_str())
                };
                all.iter().any(|it| is_about(&it))
            };
            assert!(
                !of_type(&right),
                "{plugin}.{key}: the schema's {property} is refused"
            );
            assert!(
                of_type(&wrong),
                "{plugin}.{key}: {wrong} is accepted, against {property}"
            );
            count += 1;
        }
    }
    assert!(count > 80, "only {count} keys");
}
