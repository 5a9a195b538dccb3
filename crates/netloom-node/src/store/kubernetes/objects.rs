//! Objects as records, and records as objects.

use kube_client::core::{ApiResource, DynamicObject};
use netloom_cluster::flannel::Subnets;
use netloom_cluster::grid::{Block, Family};
use netloom_cluster::{NodeName, SpaceName, key};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::api::{blocks_resource, networks_resource};
use crate::store::{Entry, subnet_keys};

/// flannel's annotations of a node begin with it.
const FLANNEL: &str = "flannel.alpha.coreos.com/";
/// Each of flannel's fields in etcd, and its annotation. The third says whether it is a text.
const ANNOTATED: [(&str, &str, bool); 5] = [
    ("PublicIP", "public-ip", true),
    ("PublicIPv6", "public-ipv6", true),
    ("BackendType", "backend-type", true),
    ("BackendData", "backend-data", false),
    ("BackendV6Data", "backend-v6-data", false),
];

/// The label that tells a block's space.
pub(super) const SPACE: &str = "netloom.dev/space";
/// The label that tells in which 64 neighbouring blocks a block is.
pub(super) const WINDOW: &str = "netloom.dev/window";

/// A label's value for a space: names of spaces may be longer than a label.
pub(super) fn space_label(space: &SpaceName) -> String {
    hex(space.as_str())
}

/// A label's value for the 64 neighbouring blocks of which a block is one.
pub(super) fn window_label(block: Block) -> String {
    window_of(block.family(), block.base() >> 12)
}

/// The two windows that 64 blocks from this one on can be in.
pub(super) fn windows_from(block: Block) -> [String; 2] {
    let first = block.base() >> 12;
    [first, first.saturating_add(1)].map(|number| window_of(block.family(), number))
}

fn window_of(family: Family, number: u128) -> String {
    match family {
        Family::V4 => format!("4-{number:x}"),
        Family::V6 => format!("6-{number:x}"),
    }
}

fn hex(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest
        .iter()
        .take(10)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The name of a block's object. A space whose name Kubernetes would refuse has a digest in its place.
pub(super) fn block_name(space: &SpaceName, block: Block) -> String {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let text = space.as_str();
    let is_plain = text.bytes().all(plain) && !text.ends_with('-') && !text.starts_with("x--");
    let space = if is_plain {
        text.to_owned()
    } else {
        format!("x--{}", hex(text))
    };
    match block.family() {
        Family::V4 => format!("{space}-4-{:08x}", block.base()),
        Family::V6 => format!("{space}-6-{:032x}", block.base()),
    }
}

/// A block's object. `version`: what it must still be.
pub(super) fn block_object(
    space: &SpaceName,
    block: Block,
    record: &[u8],
    version: Option<u64>,
) -> Result<DynamicObject, serde_json::Error> {
    let mut object = new(&blocks_resource(), &block_name(space, block));
    let labels = [(SPACE, space_label(space)), (WINDOW, window_label(block))];
    let labels = labels.map(|(name, value)| (name.to_owned(), value));
    object.metadata.labels = Some(labels.into());
    object.metadata.resource_version = version.map(|version| version.to_string());
    let record: Value = serde_json::from_slice(record)?;
    object.data = json!({"spec": {"key": key::block(space, block), "record": record}});
    Ok(object)
}

/// The record of a block's object: its key and value. `None` if its name is not that of its key: then two
/// objects could be one block.
pub(super) fn block_record(object: &DynamicObject) -> Option<(String, Vec<u8>)> {
    let spec = object.data.get("spec")?;
    let key = spec.get("key")?.as_str()?;
    let (space, block) = key::parse_block(key)?;
    let named = object.metadata.name.as_deref() == Some(&block_name(&space, block));
    let value = serde_json::to_vec(spec.get("record")?).ok()?;
    named.then(|| (key.to_owned(), value))
}

/// An empty object of a kind.
pub(super) fn new(resource: &ApiResource, name: &str) -> DynamicObject {
    DynamicObject::new(name, resource)
}

/// What a node tells, as an object.
pub(super) fn network_object(
    name: &NodeName,
    record: &[u8],
) -> Result<DynamicObject, serde_json::Error> {
    let mut object = new(&networks_resource(), name.as_str());
    let record: Value = serde_json::from_slice(record)?;
    object.data = json!({"spec": {"record": record}});
    Ok(object)
}

/// The records that a `NodeNetwork` stands for. With `parts`, the node's part of the network too.
pub(super) fn of_network(object: &DynamicObject, prefix: &str, parts: bool) -> Vec<Entry> {
    let name = object
        .metadata
        .name
        .clone()
        .and_then(|name| NodeName::new(name).ok());
    let (Some(name), Some(spec)) = (name, object.data.get("spec")) else {
        return Vec::new();
    };
    let created = created(object);
    let entry = |key: String, value: &Value| {
        let value = serde_json::to_vec(value).unwrap_or_default();
        Entry {
            key,
            value,
            created,
        }
    };
    let mut entries = Vec::new();
    entries.extend(
        spec.get("record")
            .map(|record| entry(key::node(&name), record)),
    );
    for (space, want) in spec
        .get("wants")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        if let Ok(space) = SpaceName::new(space.as_str()) {
            entries.push(entry(key::want(&space, &name), want));
        }
    }
    if parts
        && let Some(subnets) = spec.pointer("/network/subnets").and_then(Value::as_str)
        && let Some(subnets) = Subnets::of_key(subnets)
        && let Some(said) = spec.pointer("/network/announcement")
    {
        entries.push(entry(
            format!("{}{}", subnet_keys(prefix), subnets.key()),
            said,
        ));
    }
    entries
}

/// The record that a node stands for, by the annotations that flannel gives it.
pub(super) fn of_node(object: &DynamicObject, prefix: &str) -> Vec<Entry> {
    let Some(subnets) = pod_cidrs(object) else {
        return Vec::new();
    };
    let Some(annotations) = &object.metadata.annotations else {
        return Vec::new();
    };
    let mut said = Map::new();
    for (field, annotation, is_text) in ANNOTATED {
        let Some(text) = annotations.get(&format!("{FLANNEL}{annotation}")) else {
            continue;
        };
        let value = match is_text {
            true => Value::from(text.as_str()),
            false => serde_json::from_str(text).unwrap_or(Value::Null),
        };
        said.insert(field.to_owned(), value);
    }
    if !said.contains_key("BackendType") {
        return Vec::new();
    }
    vec![Entry {
        key: format!("{}{}", subnet_keys(prefix), subnets.key()),
        value: Value::Object(said).to_string().into_bytes(),
        created: created(object),
    }]
}

/// The annotations by which flannel's nodes know this one.
pub(super) fn annotations(announcement: &str) -> Value {
    let said: Value = serde_json::from_str(announcement).unwrap_or_default();
    let mut annotations = Map::new();
    annotations.insert(format!("{FLANNEL}kube-subnet-manager"), "true".into());
    for (field, annotation, is_text) in ANNOTATED {
        let value = match said.get(field) {
            None | Some(Value::Null) => Value::Null,
            Some(Value::String(text)) if is_text => text.as_str().into(),
            Some(other) => other.to_string().into(),
        };
        annotations.insert(format!("{FLANNEL}{annotation}"), value);
    }
    json!({"metadata": {"annotations": annotations}})
}

/// The part of the network that Kubernetes gave a node: the first CIDR of each family.
pub(super) fn pod_cidrs(node: &DynamicObject) -> Option<Subnets> {
    let cidrs = node.data.pointer("/spec/podCIDRs")?.as_array()?;
    let mut subnets = Subnets::default();
    for cidr in cidrs.iter().filter_map(Value::as_str) {
        match netloom_spec::net::parse_cidr(cidr).ok()?.trunc() {
            ipnet::IpNet::V4(net) => subnets.v4 = subnets.v4.or(Some(net)),
            ipnet::IpNet::V6(net) => subnets.v6 = subnets.v6.or(Some(net)),
        }
    }
    subnets.parts().next().is_some().then_some(subnets)
}

/// When it was made, in seconds since 1970: the older of two counts.
fn created(object: &DynamicObject) -> i64 {
    let at = object.metadata.creation_timestamp.as_ref();
    at.map_or(0, |time| time.0.as_second())
}

/// The revision of an object or of a list.
pub(super) fn revision(text: Option<&String>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(address: &str) -> Block {
        Block::of(address.parse().unwrap())
    }

    fn node(spec: &Value, annotations: &[(&str, &str)]) -> DynamicObject {
        let annotations: Map<String, Value> = annotations
            .iter()
            .map(|(name, value)| (format!("{FLANNEL}{name}"), Value::from(*value)))
            .collect();
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "n1", "annotations": annotations}, "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn a_block_is_an_object_and_back() {
        let record = br#"{"v":1,"grants":[]}"#;
        for (space, address, name) in [
            ("sriov", "10.9.1.77", "sriov-4-0a090140"),
            (
                "sriov",
                "fd00::1:2",
                "sriov-6-fd000000000000000000000000010000",
            ),
        ] {
            let space = SpaceName::new(space).unwrap();
            let object = block_object(&space, block(address), record, Some(7)).unwrap();
            assert_eq!(object.metadata.name.as_deref(), Some(name));
            assert_eq!(object.metadata.resource_version.as_deref(), Some("7"));
            let (key, value) = block_record(&object).unwrap();
            assert_eq!(key, key::block(&space, block(address)));
            let (read, wrote): (Value, Value) = (
                serde_json::from_slice(&value).unwrap(),
                serde_json::from_slice(record).unwrap(),
            );
            assert_eq!(read, wrote);
        }
    }

    #[test]
    fn names_of_spaces_that_kubernetes_refuses_have_distinct_objects() {
        let names = ["Sriov", "sriov_1", "sriov.1", "a-", "x--1", "sriov"];
        let names =
            names.map(|name| block_name(&SpaceName::new(name).unwrap(), block("10.9.1.77")));
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
        for name in &names {
            let right = name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            assert!(right && name.len() <= 253, "{name}");
        }
    }

    #[test]
    fn an_object_under_another_name_than_its_keys_is_no_block() {
        let space = SpaceName::new("sriov").unwrap();
        let mut object = block_object(&space, block("10.9.1.77"), b"{}", None).unwrap();
        object.metadata.name = Some("sriov-4-0a090180".into());
        assert_eq!(block_record(&object), None);
        object.metadata.name = Some("sriov-4-0a090140".into());
        object.data["spec"]["key"] = "/netloom/v1/blocks/sriov/4/a090140".into();
        assert_eq!(block_record(&object), None);
    }

    #[test]
    fn sixty_four_blocks_lie_in_at_most_the_two_windows_that_are_asked_for() {
        for address in [
            "10.9.0.0",
            "10.9.15.192",
            "10.9.255.192",
            "fd00::",
            "fd00::fc0",
        ] {
            let first = block(address);
            let asked = windows_from(first);
            for step in 0..64 {
                let here = Block::holding(first.family(), first.base() + step * 64);
                assert!(asked.contains(&window_label(here)), "{address} + {step}");
            }
        }
    }

    #[test]
    fn flannels_annotations_are_read_and_written() {
        let spec = json!({"podCIDRs": ["10.5.1.0/24", "fd00:5:0:1::/64"]});
        let said = [
            ("backend-type", "vxlan"),
            ("backend-data", r#"{"VNI":1,"VtepMAC":"0a:00:00:00:00:01"}"#),
            ("public-ip", "192.0.2.1"),
        ];
        let entries = of_node(&node(&spec, &said), "/coreos.com/network");
        assert_eq!(entries.len(), 1);
        assert_eq!(
            entries[0].key,
            "/coreos.com/network/subnets/10.5.1.0-24&fd00:5:0:1::-64"
        );
        let parsed = netloom_cluster::flannel::Announcement::parse(&entries[0].value).unwrap();
        assert_eq!(parsed.public_v4, Some("192.0.2.1".parse().unwrap()));
        let written = annotations(&parsed.to_json());
        for (name, value) in said {
            let at = &written["metadata"]["annotations"][format!("{FLANNEL}{name}")];
            assert_eq!(at.as_str(), Some(value), "{name}");
        }
    }

    #[test]
    fn a_node_without_flannels_annotations_or_cidrs_has_no_part() {
        let cidrs = json!({"podCIDRs": ["10.5.1.0/24"]});
        assert!(of_node(&node(&cidrs, &[]), "/p").is_empty());
        assert!(of_node(&node(&json!({}), &[("backend-type", "vxlan")]), "/p").is_empty());
        let wrong = json!({"podCIDRs": ["10.5.1.0/33"]});
        assert!(of_node(&node(&wrong, &[("backend-type", "vxlan")]), "/p").is_empty());
    }
}
