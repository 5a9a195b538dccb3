//! Links to pods of other hosts: what nodes tell of their pods, and which of it a node believes.
//!
//! | key below the prefix | record |
//! |---|---|
//! | `links/<node>/<network>/<namespace>/<pod>`, with a lease | [`LinkRecord`] |
//!
//! A node writes below its own name only, so that it can be given the right to that and no other. How a
//! pod's host is reached is not the record's word but that of the node's own record.

use crate::key::PREFIX;
use crate::malformed::{VERSION, parse, require_version};
use crate::peers::is_of_a_host;
use crate::{Malformed, NodeName};
use netloom_spec::NetworkName;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A record of a pod is refused beyond this many bytes.
pub const LONGEST_LINKS: usize = 64 * 1024;
/// How deep objects and lists are in each other in a link. In a network's file a link stands two deeper
/// than in its record, and JSON is read to a depth of 127 only.
const DEEPEST: usize = 32;
/// How many pods of other hosts a file tells of, at most …
const MOST_PODS: usize = 4096;
/// … and how many bytes it has for them. The plugin reads no file of more than twice as many.
const MOST_BYTES: usize = 8 << 20;

/// What the keys of all pods' records begin with.
pub fn all() -> String {
    format!("{PREFIX}links/")
}

/// What those of a node's pods begin with.
pub fn of_node(node: &NodeName) -> String {
    format!("{}{node}/", all())
}

/// A pod in a network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkedPod {
    /// The network whose links are meant.
    pub network: NetworkName,
    /// As `namespace/name`.
    pub pod: String,
}

impl LinkedPod {
    /// Checks the pod's name.
    ///
    /// # Errors
    /// If it is no `namespace/name` of lower-case letters, digits, `.` and `-`.
    pub fn new(network: NetworkName, pod: impl Into<String>) -> Result<Self, Malformed> {
        let pod = pod.into();
        let is_name = |part: &str| {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            let ends = [part.bytes().next(), part.bytes().last()];
            part.len() <= 253
                && part
                    .bytes()
                    .all(|byte| plain(byte) || b".-".contains(&byte))
                && ends.into_iter().all(|end| end.is_some_and(plain))
        };
        match pod.split_once('/') {
            Some((namespace, name)) if is_name(namespace) && is_name(name) => {
                Ok(Self { network, pod })
            }
            _ => Err(Malformed::new(format!(
                "pod {pod:?}: namespace/name of lower-case letters, digits, '.' and '-' is expected"
            ))),
        }
    }

    /// The key of its record, written by its node.
    pub fn key(&self, node: &NodeName) -> String {
        format!("{}{}/{}", of_node(node), self.network, self.pod)
    }

    /// The node and the pod that a key is of.
    pub fn parse_key(key: &str) -> Option<(NodeName, Self)> {
        let (node, rest) = key.strip_prefix(&all())?.split_once('/')?;
        let (network, pod) = rest.split_once('/')?;
        let network = NetworkName::new(network).ok()?;
        Some((NodeName::new(node).ok()?, Self::new(network, pod).ok()?))
    }
}

/// What a pod asks for. The links are the plugin ratchet's, which judges them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkRecord {
    v: u32,
    /// Objects, as the plugin writes them.
    pub links: Vec<Value>,
    /// Whether it takes links that others of its Kubernetes namespace ask for alone.
    #[serde(default)]
    pub open: bool,
}

impl LinkRecord {
    /// Of a pod that asks for these.
    pub fn new(links: Vec<Value>, open: bool) -> Self {
        let v = VERSION;
        Self { v, links, open }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let record: Self = parse(bytes, LONGEST_LINKS)?;
        require_version(record.v)?;
        if let Some(link) = record.links.iter().find(|link| !link.is_object()) {
            return Err(Malformed::new(format!(
                "links: an object is expected, and there is {link}"
            )));
        }
        if !record.links.iter().all(|link| is_within(link, DEEPEST)) {
            return Err(Malformed::new(format!(
                "links: one has objects or lists more than {DEEPEST} deep, and at most so many are read"
            )));
        }
        Ok(record)
    }

    /// As it is stored.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Whether objects and lists are at most so deep in each other.
fn is_within(value: &Value, depth: usize) -> bool {
    let below = |value: &Value| is_within(value, depth - 1);
    match value {
        Value::Object(object) => depth > 0 && object.values().all(below),
        Value::Array(list) => depth > 0 && list.iter().all(below),
        _ => true,
    }
}

/// The file of a network that the plugin ratchet reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FarFile {
    v: u32,
    /// How other hosts reach this one.
    pub local: Vec<IpAddr>,
    /// The pods of other hosts.
    pub pods: Vec<FarPod>,
}

impl FarFile {
    /// As it is on the disk.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// A pod of another host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FarPod {
    /// As `namespace/name`.
    pub pod: String,
    /// Where it is.
    pub node: NodeName,
    /// How that host is reached.
    pub addresses: Vec<IpAddr>,
    /// What it asks for.
    pub links: Vec<Value>,
    /// Whether it takes what others ask for alone.
    pub open: bool,
}

impl FarPod {
    /// How many bytes it has in the file.
    fn bytes(&self) -> usize {
        serde_json::to_vec(self).map_or(0, |bytes| bytes.len())
    }
}

#[derive(Debug)]
struct Told {
    node: NodeName,
    pod: LinkedPod,
    created: i64,
    record: LinkRecord,
}

/// All that other nodes tell of their pods.
#[derive(Debug)]
pub struct Book {
    own: NodeName,
    told: BTreeMap<String, Told>,
    nodes: BTreeMap<NodeName, Vec<IpAddr>>,
}

impl Book {
    /// Of the node of that name, which believes of itself what it sees.
    pub fn new(own: NodeName) -> Self {
        Self {
            own,
            told: BTreeMap::new(),
            nodes: BTreeMap::new(),
        }
    }

    /// Forgets everything: the store is listed anew.
    pub fn clear(&mut self) {
        self.told.clear();
        self.nodes.clear();
    }

    /// How a node is reached; nobody knows if there are no addresses.
    pub fn node(&mut self, node: NodeName, addresses: Vec<IpAddr>) {
        self.nodes.insert(node, addresses);
    }

    /// Takes in a record. `created`: the store's revision of its creation.
    ///
    /// # Errors
    /// Why it is not believed. What the key held before is not believed any more either.
    pub fn put(&mut self, key: &str, value: &[u8], created: i64) -> Result<(), Malformed> {
        self.told.remove(key);
        let named = |error: &dyn std::fmt::Display| Malformed::new(format!("{key}: {error}"));
        let (node, pod) =
            LinkedPod::parse_key(key).ok_or_else(|| named(&"it is the key of no pod"))?;
        if node == self.own {
            return Ok(());
        }
        let record = LinkRecord::parse(value).map_err(|error| named(&error))?;
        let told = Told {
            node,
            pod,
            created,
            record,
        };
        self.told.insert(key.to_owned(), told);
        Ok(())
    }

    /// A record was removed.
    pub fn remove(&mut self, key: &str) {
        self.told.remove(key);
    }

    /// What a network's file says on a host that is reached by `local`. Of two nodes that claim one pod
    /// the older claim counts; whose host nobody can reach is not there.
    pub fn file(&self, network: &NetworkName, local: &[IpAddr]) -> FarFile {
        let mut told: Vec<&Told> = self.told.values().collect();
        told.retain(|told| told.pod.network == *network);
        told.sort_by_key(|told| (told.created, &told.node));
        let (mut seen, mut bytes) = (BTreeSet::new(), 0);
        let mut pods = Vec::new();
        for told in told {
            let addresses = self.addresses(&told.node, local);
            if addresses.is_empty() || !seen.insert(&told.pod.pod) {
                continue;
            }
            let pod = FarPod {
                pod: told.pod.pod.clone(),
                node: told.node.clone(),
                addresses,
                links: told.record.links.clone(),
                open: told.record.open,
            };
            bytes += pod.bytes();
            if bytes > MOST_BYTES || pods.len() == MOST_PODS {
                break;
            }
            pods.push(pod);
        }
        pods.sort_by(|one, other| one.pod.cmp(&other.pod));
        FarFile {
            v: VERSION,
            local: local.to_vec(),
            pods,
        }
    }

    /// Those of a node that can be another host's.
    fn addresses(&self, node: &NodeName, local: &[IpAddr]) -> Vec<IpAddr> {
        let all = self.nodes.get(node).into_iter().flatten().copied();
        all.filter(|ip| is_of_a_host(*ip) && !local.contains(ip))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    fn key(node: &str, pod: &str) -> String {
        let pod = LinkedPod::new(NetworkName::new("lab").unwrap(), pod).unwrap();
        pod.key(&name(node))
    }

    fn book() -> Book {
        let mut book = Book::new(name("m1"));
        for (node, address) in [
            ("m2", "192.0.2.2"),
            ("m3", "192.0.2.3"),
            ("lo", "127.0.0.1"),
            ("copy", "192.0.2.1"),
            ("many", "224.0.0.1"),
        ] {
            book.node(name(node), vec![address.parse().unwrap()]);
        }
        book
    }

    fn pods(book: &Book) -> Vec<(String, String)> {
        let local = ["192.0.2.1".parse().unwrap()];
        let file = book.file(&NetworkName::new("lab").unwrap(), &local);
        let pods = file.pods.into_iter();
        pods.map(|pod| (pod.pod, pod.node.to_string())).collect()
    }

    const LINKS: &[u8] = br#"{"v":1,"links":[{"link":{}}]}"#;

    #[test]
    fn the_older_claim_to_a_pod_counts_and_the_other_takes_its_place() {
        let mut book = book();
        book.put(&key("m3", "default/a"), LINKS, 9).unwrap();
        book.put(&key("m2", "default/a"), LINKS, 7).unwrap();
        assert_eq!(pods(&book), [("default/a".into(), "m2".into())]);
        book.remove(&key("m2", "default/a"));
        assert_eq!(pods(&book), [("default/a".into(), "m3".into())]);
        // A record that is no longer right is no longer believed.
        assert!(book.put(&key("m3", "default/a"), b"{}", 9).is_err());
        assert_eq!(pods(&book), []);
    }

    #[test]
    fn a_host_that_cannot_be_another_one_is_not_believed() {
        let mut book = book();
        for node in ["lo", "copy", "many", "unknown", "m1"] {
            book.put(&key(node, "default/a"), LINKS, 1).unwrap();
        }
        assert_eq!(pods(&book), []);
    }

    #[test]
    fn lies_are_refused_by_name() {
        let mut book = book();
        let long = format!(
            r#"{{"v":1,"links":[{{"x":"{}"}}]}}"#,
            "y".repeat(LONGEST_LINKS)
        );
        for (key, value) in [
            ("/netloom/v1/links/m2/../default/a", LINKS),
            ("/netloom/v1/links/m2/lab/default", LINKS),
            ("/netloom/v1/links/m2/lab/default/a/b", LINKS),
            ("/netloom/v1/links/m2/lab/Default/a", LINKS),
            ("/netloom/v1/links/m2/lab/default/a\n", LINKS),
            (
                "/netloom/v1/links/m2/lab/default/a",
                b"{\"v\":2,\"links\":[]}",
            ),
            (
                "/netloom/v1/links/m2/lab/default/a",
                b"{\"v\":1,\"links\":[7]}",
            ),
            (
                "/netloom/v1/links/m2/lab/default/a",
                b"{\"v\":1,\"links\":[],\"addresses\":[\"192.0.2.9\"]}",
            ),
            ("/netloom/v1/links/m2/lab/default/a", long.as_bytes()),
        ] {
            let error = book.put(key, value, 1).unwrap_err().to_string();
            assert!(error.contains("/netloom/v1/links/m2/"), "{error}");
            assert_eq!(error.lines().count(), 1);
        }
        assert_eq!(pods(&book), []);
    }

    #[test]
    fn a_link_that_is_nested_deeper_than_a_file_is_read_is_refused() {
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
            format!(r#"{{"v":1,"links":[{{"x":{open}{close}}}]}}"#)
        };
        assert!(LinkRecord::parse(nested(DEEPEST).as_bytes()).is_ok());
        let error = LinkRecord::parse(nested(DEEPEST + 1).as_bytes()).unwrap_err();
        assert!(error.to_string().contains("more than 32 deep"), "{error}");
    }

    #[test]
    fn a_file_is_never_longer_than_the_plugin_reads_however_its_records_are_written() {
        let mut book = book();
        let addresses = (1..=250).map(|last| format!("2001:db8::{last}").parse().unwrap());
        book.node(name("m2"), addresses.collect());
        // Each number is written with four times as many bytes as it is read from.
        let record = format!(
            r#"{{"v":1,"links":[{{"x":[{}0]}}]}}"#,
            "1e15,".repeat(13_000)
        );
        for pod in 0..200 {
            let key = key("m2", &format!("default/a{pod}"));
            book.put(&key, record.as_bytes(), pod).unwrap();
        }
        // Who cannot be reached takes no room from others.
        for pod in 0..1_000 {
            let key = key("unknown", &format!("default/b{pod}"));
            book.put(&key, record.as_bytes(), -pod).unwrap();
        }
        let file = book.file(&NetworkName::new("lab").unwrap(), &[]);
        let bytes = file.to_json().len();
        assert!(file.pods.len() > 10 && bytes <= 9 << 20, "{bytes}");
    }

    #[test]
    fn a_key_is_read_back() {
        let (node, pod) = LinkedPod::parse_key(&key("m2", "default/a.b-1")).unwrap();
        assert_eq!(pod.key(&node), key("m2", "default/a.b-1"));
    }
}
