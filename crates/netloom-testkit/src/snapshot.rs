//! A picture of everything a plugin may change, to be compared with a later one.
//!
//! What changes by itself is left out: interface indexes, handles, counters, timers, carrier,
//! link-local IPv6 addresses, the routes that the kernel makes for IPv6 addresses, learned neighbours.

mod difference;
mod files;
mod iproute;
mod iptables;
mod memo;
mod netlink;
mod nftables;
mod said;
mod shared;
mod sysctl;
mod traffic_control;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::host::Host;
use crate::namespace;
use crate::pod::Pod;

pub use difference::Difference;

/// Directories whose files are part of every snapshot.
const DIRECTORIES: [&str; 3] = ["/run", "/var/lib/cni", "/etc/cni"];

/// What one observed object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Link,
    Address,
    Route,
    Rule,
    Neighbour,
    NftTable,
    NftChain,
    NftSet,
    NftObject,
    IptablesChain,
    Qdisc,
    Filter,
    Vlan,
    Sysctl,
    File,
}

/// The identity of an object: two snapshots speak of the same one when this is equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fact {
    /// `host`, or `pod NAME`.
    place: String,
    kind: Kind,
    name: String,
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Link => "link",
            Kind::Address => "address",
            Kind::Route => "route",
            Kind::Rule => "rule",
            Kind::Neighbour => "neighbour",
            Kind::NftTable => "nft table",
            Kind::NftChain => "nft chain",
            Kind::NftSet => "nft set",
            Kind::NftObject => "nft",
            Kind::IptablesChain => "iptables chain",
            Kind::Qdisc => "qdisc",
            Kind::Filter => "filter",
            Kind::Vlan => "bridge vlan",
            Kind::Sysctl => "sysctl",
            Kind::File => "file",
        };
        write!(f, "{}: {kind} {}", self.place, self.name)
    }
}

/// What was observed in one place, by kind and name.
type Found = Vec<(Kind, String, Value)>;

/// All links, addresses, routes, rules, permanent neighbours, nf_tables and iptables rules, tc
/// objects and network sysctls of a host and some pods, and the files under `/run`,
/// `/var/lib/cni` and `/etc/cni`.
///
/// ```no_run
/// # use netloom_testkit::{Host, Snapshot};
/// # let Some(host) = Host::new() else { return };
/// let pod = host.pod("one");
/// let before = Snapshot::take(&host, &[&pod]);
/// // … ADD and DEL …
/// Snapshot::take(&host, &[&pod]).without_shared(&["cni0"])
///     .assert_same_as(&before.without_shared(&["cni0"]));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    facts: BTreeMap<Fact, Value>,
}

impl Snapshot {
    /// Observes the host, and these pods from the inside.
    #[must_use]
    pub fn take(host: &Host, pods: &[&Pod]) -> Self {
        let mut snapshot = Self {
            facts: BTreeMap::new(),
        };
        snapshot.insert("host", namespace::run_in(host.netns(), network));
        for pod in pods {
            let found = namespace::run_in(&pod.netns(), network);
            snapshot.insert(&format!("pod {}", pod.name()), found);
        }
        for directory in DIRECTORIES {
            snapshot.insert("host", files::under(Path::new(directory)));
        }
        snapshot
    }

    /// The same with the files under another directory as well.
    #[must_use]
    pub fn and_directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.insert("host", files::under(directory.as_ref()));
        self
    }

    /// The same without what netloom remembers of attachments in files of its own, of which the
    /// reference's DEL knows nothing.
    #[must_use]
    pub fn without_records(&self) -> Self {
        let is_record =
            |fact: &Fact| fact.kind == Kind::File && fact.name.starts_with("/run/cni/attachments/");
        let mut facts = self.facts.clone();
        facts.retain(|fact, _| !is_record(fact));
        Self { facts }
    }

    /// The same without what attachments share and no DEL takes away: these bridges with their
    /// addresses, routes and sysctls; the forwarding switches; nf_tables base chains, maps and
    /// tables that serve no attachment; lock files, `last_reserved_ip.*`, directories and
    /// netloom's own index under `/var/lib/cni`.
    #[must_use]
    pub fn without_shared(&self, bridges: &[&str]) -> Self {
        let mut facts = self.facts.clone();
        shared::remove(&mut facts, bridges);
        Self { facts }
    }

    /// What `self` has that `earlier` had not, what it lacks, and what it has otherwise.
    #[must_use]
    pub fn difference_from(&self, earlier: &Self) -> Difference {
        difference::between(&earlier.facts, &self.facts)
    }

    /// Asserts that nothing differs; panics with the readable difference.
    #[track_caller]
    pub fn assert_same_as(&self, earlier: &Self) {
        let difference = self.difference_from(earlier);
        assert!(
            difference.is_empty(),
            "the state is not what it was:\n{difference}"
        );
    }

    fn insert(&mut self, place: &str, found: Found) {
        for (kind, name, value) in found {
            let place = place.to_owned();
            let fact = Fact { place, kind, name };
            if let Some(earlier) = self.facts.insert(fact.clone(), value) {
                panic!("a snapshot holds two objects called {fact}; the first is {earlier}");
            }
        }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (fact, value) in &self.facts {
            writeln!(f, "{fact} {value}")?;
        }
        Ok(())
    }
}

/// Everything in the network namespace of the calling thread. Programs are executed only for what the
/// kernel did not say before with the same bytes.
fn network() -> Found {
    let links = said::of_links();
    let ip = || said::of_links().ip;
    let mut found = memo::of("ip", &links.ip, ip, iproute::observe);
    found.extend(firewalls(&links));
    let filters_vlans = links.filters_vlans;
    let disciplines = || traffic_control::observe(filters_vlans);
    found.extend(match &links.tc {
        // Whoever changes them meanwhile has them listed, now or the next time.
        Some(tc) => memo::of(
            "tc",
            tc,
            || said::of_links().tc.unwrap_or_default(),
            disciplines,
        ),
        None => disciplines(),
    });
    found.extend(sysctl::observe());
    found
}

/// The rules of nf_tables and of iptables.
fn firewalls(links: &said::OfLinks) -> Found {
    let list = || {
        let mut ruleset = nftables::observe();
        ruleset.extend(iptables::observe(nftables::has_extensions(&ruleset)));
        ruleset
    };
    if iptables::has_legacy_tables() {
        return list();
    }
    let rules = || said::of_nf_tables(&links.names);
    memo::of("nft", &rules(), rules, list)
}

/// stdout of a program that lists something, or what it says on stderr if it fails.
fn listing(program: &str, arguments: &[&str], stdin: &str) -> Result<String, String> {
    let run = || {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(stdin.as_bytes())?;
        }
        child.wait_with_output()
    };
    let output = run().unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The JSON documents that a listing consists of.
fn documents(program: &str, arguments: &[&str], stdin: &str) -> Result<Vec<Value>, String> {
    let text = listing(program, arguments, stdin)?;
    let documents: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&text)
        .into_iter()
        .collect();
    Ok(documents.unwrap_or_else(|error| panic!("{program} prints no JSON: {error}\n{text}")))
}

/// The elements of an array; none for anything else.
fn elements(value: Value) -> Vec<Value> {
    match value {
        Value::Array(elements) => elements,
        _ => Vec::new(),
    }
}

/// A text member of an object, or "".
fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// Takes members out of an object, wherever in it they are.
fn strip(value: &mut Value, keys: &[&str]) {
    match value {
        Value::Object(members) => {
            members.retain(|key, _| !keys.contains(&key.as_str()));
            members.values_mut().for_each(|member| strip(member, keys));
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| strip(element, keys)),
        _ => {}
    }
}
