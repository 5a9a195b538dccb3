//! JSON Schemas (2020-12) of plugins' objects and of lists, for editors.
//!
//! Types, defaults and meanings are those of the reference pages; that a key is in the object itself,
//! and not in what a runtime offers, is what the plugin decodes. Keys match whatever their case; the
//! schema offers the documented one. Keys of others are allowed.

use netloom_plugins::registry::PLUGINS;
use netloom_spec::Version;
use serde_json::{Map, Value, json};

use crate::keys::{self, Key};
use crate::lint::fields;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of the object of one plugin; of an IPAM plugin, of the object `ipam`.
pub(crate) fn plugin(name: &str) -> Value {
    let mut schema = object(name);
    schema["$schema"] = DIALECT.into();
    schema["title"] = format!("the CNI plugin {name}").into();
    if !is_ipam(name) {
        schema["$defs"] = json!({ "ipam": any_ipam(), "dns": dns() });
    }
    schema
}

/// The schema of a list of plugins.
pub(crate) fn list() -> Value {
    let names: Vec<&str> = PLUGINS
        .iter()
        .map(|it| it.name())
        .filter(|it| !is_ipam(it))
        .collect();
    let choices = names
        .iter()
        .map(|name| choice(name, json!({"$ref": format!("#/$defs/{name}")})));
    let choices: Vec<Value> = choices.collect();
    let mut definitions: Map<String, Value> = names
        .iter()
        .map(|name| ((*name).to_owned(), object(name)))
        .collect();
    definitions.insert("ipam".to_owned(), any_ipam());
    definitions.insert("dns".to_owned(), dns());
    let versions: Vec<&str> = Version::ALL.iter().map(|it| it.as_str()).collect();
    json!({
        "$schema": DIALECT,
        "title": "a CNI network: a list of plugins",
        "type": "object",
        "required": ["cniVersion", "name", "plugins"],
        "properties": {
            "cniVersion": {"enum": versions, "description": "the version of the specification"},
            "cniVersions": {"type": "array", "items": {"type": "string"}, "description": "further versions that the list is valid for"},
            "name": {"type": "string", "pattern": "^[a-zA-Z0-9][a-zA-Z0-9_.\\-]*$", "description": "the network's name, one of its kind on the host"},
            "disableCheck": {"type": "boolean", "default": false, "description": "runtimes do not call CHECK"},
            "disableGC": {"type": "boolean", "default": false, "description": "runtimes do not call GC"},
            "loadOnlyInlinedPlugins": {"type": "boolean", "default": false, "description": "no plugins from the directory of the network's name beside the file"},
            "plugins": {"type": "array", "items": {
                "type": "object",
                "required": ["type"],
                "properties": {"type": {"type": "string", "examples": names}},
                "allOf": choices,
            }},
        },
        "$defs": definitions,
    })
}

/// An IPAM plugin's page tells the key `type`, because its keys are in `ipam`.
fn is_ipam(plugin: &str) -> bool {
    keys::all().any(|it| it.plugin == plugin && it.name == "type")
}

fn choice(kind: &str, then: Value) -> Value {
    json!({"if": {"properties": {"type": {"const": kind}}, "required": ["type"]}, "then": then})
}

fn any_ipam() -> Value {
    let names: Vec<&str> = PLUGINS
        .iter()
        .map(|it| it.name())
        .filter(|it| is_ipam(it))
        .collect();
    let choices: Vec<Value> = names
        .iter()
        .map(|name| choice(name, object(name)))
        .collect();
    json!({
        "type": "object",
        "properties": {"type": {"type": "string", "examples": names}},
        "allOf": choices,
    })
}

fn dns() -> Value {
    let strings = json!({"type": "array", "items": {"type": "string"}});
    json!({"type": "object", "properties": {
        "nameservers": strings, "domain": {"type": "string"}, "search": strings, "options": strings,
    }})
}

/// The object of a plugin, without what it refers to.
fn object(plugin: &str) -> Value {
    let fields = fields(plugin, is_ipam(plugin));
    let mut schema = json!({"type": "object", "required": ["type"], "properties": {}});
    for key in keys::all().filter(|it| it.plugin == plugin) {
        let first = key.name.split(['.', '[']).next().unwrap_or_default();
        if fields.contains(&first) {
            put(&mut schema, key.name, &key);
        }
    }
    schema["properties"]["type"] = json!({"const": plugin});
    if !is_ipam(plugin) {
        schema["properties"]["capabilities"] = json!({
            "type": "object", "additionalProperties": {"type": "boolean"},
            "description": "what the runtime may give, such as portMappings",
        });
    }
    schema
}

/// Puts a key into the schema of the object that its path leads to.
fn put(schema: &mut Value, path: &str, key: &Key) {
    let (step, rest) = path
        .split_once('.')
        .map_or((path, None), |(step, rest)| (step, Some(rest)));
    let name = step.trim_end_matches("[]");
    let mut place = &mut schema["properties"][name];
    let Some(rest) = rest else {
        if key.kind.ends_with("required") {
            require(schema, name);
        }
        schema["properties"][name] = value(name, key);
        return;
    };
    for _ in 0..step.matches("[]").count() {
        place = &mut place["items"];
    }
    put(place, rest, key);
}

fn require(schema: &mut Value, name: &str) {
    match schema["required"].as_array_mut() {
        Some(names) => names.push(name.into()),
        None => schema["required"] = json!([name]),
    }
}

fn value(name: &str, key: &Key) -> Value {
    let mut schema = match name {
        "ipam" | "dns" if key.kind.starts_with("object") => {
            json!({"$ref": format!("#/$defs/{name}")})
        }
        _ => of_kind(key.kind),
    };
    schema["description"] = key.meaning.into();
    let default = key.default.trim_matches('`');
    let default = match schema["type"].as_str() {
        Some("boolean") => default.parse::<bool>().ok().map(Value::from),
        Some("integer") => default.parse::<i64>().ok().map(Value::from),
        Some("string") if key.default.starts_with('`') && key.default.ends_with('`') => {
            Some(default.into())
        }
        _ => None,
    };
    if let Some(default) = default {
        schema["default"] = default;
    }
    schema
}

/// The words of the pages for types.
fn of_kind(kind: &str) -> Value {
    let (kind, condition) = kind.split_once(", ").unwrap_or((kind, ""));
    if let Some(items) = kind.strip_prefix("list of ") {
        return json!({"type": "array", "items": of_kind(items)});
    }
    match kind.trim_end_matches('s') {
        "bool" => json!({"type": "boolean"}),
        "integer" => {
            let mut schema = json!({"type": "integer"});
            if let Some((least, most)) = condition.split_once(" to ") {
                schema["minimum"] = least.parse::<i64>().ok().into();
                schema["maximum"] = most.parse::<i64>().ok().into();
            }
            schema
        }
        "number" => json!({"type": "number"}),
        "string" => json!({"type": "string"}),
        "object of string" => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        "object" | "range" => json!({"type": "object"}),
        "list" => json!({"type": "array"}),
        kind if kind.starts_with("lists of ") => of_kind(&kind.replacen("lists", "list", 1)),
        _ => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMITTED: &str = include_str!("../../../docs/schema/conflist.json");

    #[test]
    fn the_schema_in_the_documentation_is_this_one() {
        let committed: Value = serde_json::from_str(COMMITTED).unwrap();
        assert_eq!(
            committed,
            list(),
            "netloom schema >docs/schema/conflist.json"
        );
    }

    #[test]
    fn every_type_of_the_pages_has_a_schema() {
        for key in keys::all() {
            let is_any = key.kind == "any";
            assert_eq!(of_kind(key.kind) == json!({}), is_any, "{key:?}");
        }
    }

    #[test]
    fn every_key_that_a_plugin_decodes_is_documented() {
        let everybodys = [
            "args",
            "runtimeConfig",
            "cniVersion",
            "name",
            "type",
            "capabilities",
            "dns",
            "ipam",
            "prevResult",
        ];
        for plugin in PLUGINS {
            let name = plugin.name();
            for field in fields(name, is_ipam(name)) {
                let is_told = keys::all()
                    .any(|it| it.plugin == name && it.name.split(['.', '[']).next() == Some(field));
                assert!(is_told || everybodys.contains(&field), "{name}: {field}");
            }
        }
    }
}
