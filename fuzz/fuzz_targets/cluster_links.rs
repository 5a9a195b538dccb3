//! What other hosts wrote into the store about links: keys and values in turn, with a NUL between. What
//! was understood is read again as it was written, and no record takes a pod from another host's.
#![no_main]

use netloom_cluster::NodeName;
use netloom_cluster::links::{Book, FarFile, LinkRecord, LinkedPod};
use netloom_spec::NetworkName;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

fn name(text: &str) -> NodeName {
    NodeName::new(text).expect("a name")
}

/// This host is `m1`; the others are one that is reached, and one that cannot be another host.
fn book() -> Book {
    let mut book = Book::new(name("m1"));
    book.node(name("m2"), vec![OTHER]);
    book.node(name("m3"), vec![OTHER, LOCAL]);
    book.node(name("lo"), vec![IpAddr::V4(Ipv4Addr::LOCALHOST), LOCAL]);
    book
}

/// The key of a record, if it is one, is written again as it was read.
fn put(book: &mut Book, key: &str, value: &[u8], created: i64) {
    if let Some((node, pod)) = LinkedPod::parse_key(key) {
        assert_eq!(pod.key(&node), key);
    }
    match LinkRecord::parse(value) {
        Ok(read) => assert_eq!(LinkRecord::parse(&read.to_json()), Ok(read)),
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    }
    if let Err(error) = book.put(key, value, created) {
        assert!(!error.to_string().contains(char::is_control), "{error}");
    }
}

/// The plugin reads of the whole what it reads of each pod alone.
fn assert_read(file: &FarFile) {
    let mut names = BTreeSet::new();
    let mut apart = 0;
    for pod in &file.pods {
        assert!(names.insert(&pod.pod), "{} twice", pod.pod);
        assert!(["m2", "m3"].contains(&pod.node.as_str()), "{}", pod.node);
        assert_eq!(pod.addresses, [OTHER]);
        let mut one = file.clone();
        one.pods = vec![pod.clone()];
        apart += netloom_plugins::fuzzing::far(&one.to_json());
    }
    assert_eq!(netloom_plugins::fuzzing::far(&file.to_json()), apart);
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut book = book();
    let mut networks = BTreeSet::new();
    let parts: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    for (at, pair) in parts.chunks(2).enumerate() {
        let [key, value] = pair else { continue };
        let Ok(key) = str::from_utf8(key) else { continue };
        put(&mut book, key, value, at as i64);
        networks.extend(LinkedPod::parse_key(key).map(|(_, pod)| pod.network.to_string()));
    }
    for network in networks {
        let network = NetworkName::new(network).expect("it was one");
        assert_read(&book.file(&network, &[LOCAL]));
    }
});
