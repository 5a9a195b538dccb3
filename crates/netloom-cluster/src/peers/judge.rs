//! Which records can be true together.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use netloom_spec::Mac;

use super::Record;
use crate::flannel::{Announcement, NetworkConfig, Subnets, Vtep};

/// This host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// Its part of the network.
    pub subnets: Subnets,
    /// Where the others reach it.
    pub addresses: Vec<IpAddr>,
    /// The hardware addresses of its tunnel ends.
    pub vtep_macs: Vec<Mac>,
}

/// Another host that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The key of its record.
    pub key: String,
    /// Its parts of the network, IPv4 first.
    pub parts: Vec<Part>,
}

/// A peer's part of the network, and how it says that it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The pods' addresses.
    pub subnet: IpNet,
    /// The host's address of the same family.
    pub public: IpAddr,
    /// The host's end of the tunnel, if it has one.
    pub vtep: Option<Vtep>,
}

/// Why a record is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The key names no subnet.
    Key,
    /// The value cannot be read, for this reason.
    Value(String),
    /// It speaks a backend that netloom does not.
    Backend(String),
    /// A subnet is not one that the network has.
    OutsideNetwork(IpNet),
    /// A subnet overlaps that of another record.
    Overlap(IpNet, String),
    /// A subnet overlaps this host's own.
    OwnSubnet(IpNet),
    /// It announces this host's own address.
    OwnAddress(IpAddr),
    /// It announces the address of another record.
    SameAddress(IpAddr, String),
    /// It has no address of a family that it has a subnet of, or one that no host can have.
    Address(Option<IpAddr>),
    /// Its hardware address is of a group, is zero, or is of another tunnel end.
    Mac(Mac),
}

impl Refusal {
    /// A word for metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Value(_) => "value",
            Self::Backend(_) => "backend",
            Self::OutsideNetwork(_) => "outside_network",
            Self::Overlap(..) => "overlap",
            Self::OwnSubnet(_) => "own_subnet",
            Self::OwnAddress(_) => "own_address",
            Self::SameAddress(..) => "same_address",
            Self::Address(_) => "address",
            Self::Mac(_) => "mac",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => write!(f, "the key names no subnet"),
            Self::Value(why) => write!(f, "the value cannot be read: {why}"),
            Self::Backend(name) => write!(f, "backend {name:?}: netloom speaks host-gw and vxlan"),
            Self::OutsideNetwork(net) => write!(f, "{net} is no part of the network"),
            Self::Overlap(net, key) => write!(f, "{net} overlaps that of {key}"),
            Self::OwnSubnet(net) => write!(f, "{net} overlaps this host's own"),
            Self::OwnAddress(ip) => write!(f, "{ip} is this host's own address"),
            Self::SameAddress(ip, key) => write!(f, "{ip} is the address of {key} too"),
            Self::Address(Some(ip)) => write!(f, "{ip} is no host's address"),
            Self::Address(None) => write!(f, "no address of the subnet's family"),
            Self::Mac(mac) => write!(f, "{mac} is no tunnel end's own hardware address"),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judged {
    /// Who is believed, in the order of the records.
    pub peers: Vec<Peer>,
    /// Who is not: the key, and why.
    pub refused: Vec<(String, Refusal)>,
}

/// Tells who is believed. Of two records that contradict each other the first counts. This host's own is
/// left out.
#[must_use]
pub fn judge<'r>(
    records: impl IntoIterator<Item = &'r Record>,
    own: &Own,
    config: &NetworkConfig,
) -> Judged {
    let mut taken = Taken::default();
    let mut judged = Judged::default();
    let own_key = own.subnets.key();
    for record in records {
        if record.key == own_key {
            continue;
        }
        match peer_of(record, own, config).and_then(|peer| taken.admit(peer)) {
            Ok(peer) => judged.peers.push(peer),
            Err(refusal) => judged.refused.push((record.key.clone(), refusal)),
        }
    }
    judged
}

/// What a record says by itself.
fn peer_of(record: &Record, own: &Own, config: &NetworkConfig) -> Result<Peer, Refusal> {
    let subnets = Subnets::of_key(&record.key).ok_or(Refusal::Key)?;
    let said = Announcement::parse(&record.value);
    let said = said.map_err(|error| Refusal::Value(error.to_string()))?;
    if !matches!(said.backend.as_str(), "host-gw" | "vxlan") {
        return Err(Refusal::Backend(said.backend));
    }
    let mut parts = Vec::with_capacity(2);
    for subnet in subnets.parts() {
        let part = Part {
            subnet,
            public: said.public(subnet.addr()).ok_or(Refusal::Address(None))?,
            vtep: said.vtep(subnet.addr()),
        };
        judge_part(&part, own, config)?;
        parts.push(part);
    }
    Ok(Peer {
        key: record.key.clone(),
        parts,
    })
}

fn judge_part(part: &Part, own: &Own, config: &NetworkConfig) -> Result<(), Refusal> {
    let Part {
        subnet,
        public,
        vtep,
    } = part;
    // Whoever has another length has it from an older configuration, which is no lie.
    let pool = config.pool(subnet.addr());
    if !pool.is_some_and(|pool| is_part(&pool.network, subnet)) {
        return Err(Refusal::OutsideNetwork(*subnet));
    }
    if own.subnets.parts().any(|net| overlap(&net, subnet)) {
        return Err(Refusal::OwnSubnet(*subnet));
    }
    if !is_of_a_host(*public) || config.pools().any(|pool| pool.network.contains(public)) {
        return Err(Refusal::Address(Some(*public)));
    }
    if own.addresses.contains(public) {
        return Err(Refusal::OwnAddress(*public));
    }
    match vtep {
        Some(vtep) if !is_of_one(vtep.mac) || own.vtep_macs.contains(&vtep.mac) => {
            Err(Refusal::Mac(vtep.mac))
        }
        _ => Ok(()),
    }
}

/// A part of the network, but not all of it.
fn is_part(network: &IpNet, subnet: &IpNet) -> bool {
    network.contains(subnet) && subnet.prefix_len() > network.prefix_len()
}

fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

pub(crate) fn is_of_a_host(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let nobody = ip.is_unspecified() || ip.is_broadcast();
            !(nobody || ip.is_loopback() || ip.is_multicast() || ip.octets()[0] == 0)
        }
        IpAddr::V6(ip) => {
            let local = ip.is_unicast_link_local() || ip.to_ipv4_mapped().is_some();
            !(local || ip.is_unspecified() || ip.is_loopback() || ip.is_multicast())
        }
    }
}

fn is_of_one(mac: Mac) -> bool {
    mac.0[0] & 1 == 0 && mac.0 != [0; 6]
}

/// What the peers so far have.
#[derive(Debug, Default)]
struct Taken {
    /// Subnets by their first address.
    subnets: BTreeMap<IpAddr, (IpNet, String)>,
    addresses: HashMap<IpAddr, String>,
    macs: HashMap<(bool, Mac), String>,
}

impl Taken {
    fn admit(&mut self, peer: Peer) -> Result<Peer, Refusal> {
        for part in &peer.parts {
            if let Some(key) = self.overlapping(&part.subnet) {
                return Err(Refusal::Overlap(part.subnet, key.clone()));
            }
            if let Some(key) = self.addresses.get(&part.public) {
                return Err(Refusal::SameAddress(part.public, key.clone()));
            }
            if let Some(vtep) = &part.vtep
                && self.macs.contains_key(&(part.public.is_ipv4(), vtep.mac))
            {
                return Err(Refusal::Mac(vtep.mac));
            }
        }
        for part in &peer.parts {
            let key = peer.key.clone();
            self.subnets
                .insert(part.subnet.addr(), (part.subnet, key.clone()));
            if let Some(vtep) = &part.vtep {
                self.macs
                    .insert((part.public.is_ipv4(), vtep.mac), key.clone());
            }
            self.addresses.insert(part.public, key);
        }
        Ok(peer)
    }

    /// Networks either contain each other or are apart, and none of these overlap, so only the neighbours
    /// in order can: the one that begins before, and those that begin inside.
    fn overlapping(&self, subnet: &IpNet) -> Option<&String> {
        let before = self.subnets.range(..=subnet.addr()).next_back();
        let inside = self.subnets.range(subnet.addr()..).next();
        let found = [before, inside].into_iter().flatten();
        let mut found = found.filter(|(_, (net, _))| overlap(net, subnet));
        found.next().map(|(_, (_, key))| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &[u8] =
        br#"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48"}"#;

    fn own() -> Own {
        Own {
            subnets: Subnets::of_key("10.5.1.0-24&fd00:5:0:1::-64").unwrap(),
            addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            vtep_macs: vec!["02:00:00:00:00:01".parse().unwrap()],
        }
    }

    fn record(key: &str, value: &str, created: i64) -> Record {
        Record {
            key: key.into(),
            value: value.into(),
            created,
        }
    }

    fn vxlan(ip: &str, mac: &str) -> String {
        format!(
            r#"{{"PublicIP":"{ip}","BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"{mac}"}}}}"#
        )
    }

    fn labels(records: &[Record]) -> (usize, Vec<&'static str>) {
        let config = NetworkConfig::parse(CONFIG).unwrap();
        let judged = judge(records, &own(), &config);
        let refused = judged.refused.iter().map(|(_, refusal)| refusal.label());
        (judged.peers.len(), refused.collect())
    }

    #[test]
    fn whoever_tells_the_truth_is_believed_and_oneself_is_left_out() {
        let records = [
            record("10.5.1.0-24&fd00:5:0:1::-64", "{}", 1),
            record("10.5.2.0-24", &vxlan("192.0.2.2", "02:00:00:00:00:02"), 2),
            record(
                "10.5.3.0-24",
                r#"{"PublicIP":"192.0.2.3","BackendType":"host-gw"}"#,
                3,
            ),
            record(
                "10.5.4.0-24&fd00:5:0:4::-64",
                r#"{"PublicIP":"192.0.2.4","PublicIPv6":"2001:db8::4","BackendType":"host-gw"}"#,
                4,
            ),
        ];
        assert_eq!(labels(&records), (3, vec![]));
    }

    #[test]
    fn each_lie_is_dropped_by_its_name() {
        let good = vxlan("192.0.2.2", "02:00:00:00:00:02");
        let lies = [
            ("nonsense", good.clone(), "key"),
            ("10.5.2.0-24", "{".into(), "value"),
            (
                "10.5.2.0-24",
                r#"{"PublicIP":"192.0.2.2","BackendType":"udp"}"#.into(),
                "backend",
            ),
            ("10.6.2.0-24", good.clone(), "outside_network"),
            ("127.0.0.0-24", good.clone(), "outside_network"),
            ("0.0.0.0-0&::-0", good.clone(), "address"),
            ("10.5.0.0-16", good.clone(), "outside_network"),
            ("10.5.1.0-25", good.clone(), "own_subnet"),
            ("10.5.0.0-22", good.clone(), "own_subnet"),
            ("10.5.2.0-24&fd00:5:0:2::-64", good, "address"),
            (
                "10.5.2.0-24",
                vxlan("192.0.2.1", "02:00:00:00:00:02"),
                "own_address",
            ),
            (
                "10.5.2.0-24",
                vxlan("127.0.0.1", "02:00:00:00:00:02"),
                "address",
            ),
            (
                "10.5.2.0-24",
                vxlan("224.0.0.1", "02:00:00:00:00:02"),
                "address",
            ),
            (
                "10.5.2.0-24",
                vxlan("0.1.2.3", "02:00:00:00:00:02"),
                "address",
            ),
            (
                "10.5.2.0-24",
                vxlan("10.5.9.9", "02:00:00:00:00:02"),
                "address",
            ),
            (
                "10.5.2.0-24",
                vxlan("192.0.2.2", "01:00:5e:00:00:01"),
                "mac",
            ),
            (
                "10.5.2.0-24",
                vxlan("192.0.2.2", "ff:ff:ff:ff:ff:ff"),
                "mac",
            ),
            (
                "10.5.2.0-24",
                vxlan("192.0.2.2", "00:00:00:00:00:00"),
                "mac",
            ),
            (
                "10.5.2.0-24",
                vxlan("192.0.2.2", "02:00:00:00:00:01"),
                "mac",
            ),
        ];
        for (key, value, label) in lies {
            let said = labels(&[record(key, &value, 1)]);
            assert!(said == (0, vec![label]), "{key} {value}: {said:?}");
        }
    }

    #[test]
    fn of_two_that_contradict_each_other_the_first_counts() {
        let first = record("10.5.2.0-24", &vxlan("192.0.2.2", "02:00:00:00:00:02"), 1);
        let others = [
            (
                "10.5.2.0-25",
                vxlan("192.0.2.3", "02:00:00:00:00:03"),
                "overlap",
            ),
            (
                "10.5.2.128-25",
                vxlan("192.0.2.3", "02:00:00:00:00:03"),
                "overlap",
            ),
            (
                "10.5.2.0-23",
                vxlan("192.0.2.3", "02:00:00:00:00:03"),
                "overlap",
            ),
            (
                "10.5.3.0-24",
                vxlan("192.0.2.2", "02:00:00:00:00:03"),
                "same_address",
            ),
            (
                "10.5.3.0-24",
                vxlan("192.0.2.3", "02:00:00:00:00:02"),
                "mac",
            ),
        ];
        for (key, value, label) in others {
            let said = labels(&[first.clone(), record(key, &value, 2)]);
            assert!(said == (1, vec![label]), "{key} {value}: {said:?}");
        }
    }
}
