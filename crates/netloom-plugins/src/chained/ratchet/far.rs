//! Pods of other hosts, as this host's daemon tells of them: `netloom-node run --links`.
//!
//! It puts what the other hosts' daemons say into a file of the network's store. The pods' words in it
//! are judged here as those of this host's pods are, and a tunnel leads only to the address that a pod's
//! host has in the cluster.

use super::keys::Keys;
use super::link::{Hosts, Link};
use super::record::Record;
use super::topology::{PORT, Tunnel, vni_of};
use netloom_spec::{Error, decode, net};
use std::net::IpAddr;

/// What is known of other hosts' pods, and how this host is reached from there.
#[derive(Debug, Default)]
pub(super) struct Far {
    local: Vec<IpAddr>,
    pods: Vec<FarPod>,
}

/// A pod of another host.
#[derive(Debug)]
pub(super) struct FarPod {
    /// What it asks for.
    pub(super) record: Record,
    node: String,
    addresses: Vec<IpAddr>,
}

impl Far {
    /// Reads the daemon's file. One that cannot be read tells of nobody.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let object = decode::parse_object(bytes);
        let read = object.and_then(|object| Self::read(&Keys::of(&object, "far")));
        read.unwrap_or_default()
    }

    /// How many pods it tells of.
    #[cfg(fuzzing)]
    pub(super) fn count(&self) -> usize {
        self.pods.len()
    }

    /// Each host writes what its own pods ask for: what cannot be read of one tells nothing of it, and
    /// takes nothing from the others.
    fn read(keys: &Keys<'_>) -> Result<Self, Error> {
        let pods = keys.objects("pods")?;
        let read = pods.iter().filter_map(|keys| FarPod::read(keys).ok());
        Ok(Self {
            local: addresses(keys, "local")?,
            pods: read.collect(),
        })
    }

    /// The pod of that name.
    pub(super) fn pod(&self, name: &str) -> Option<&FarPod> {
        self.pods.iter().find(|pod| pod.record.pod == name)
    }

    /// Those that ask alone to be linked to a pod.
    pub(super) fn askers<'a>(&'a self, pod: &'a str) -> impl Iterator<Item = &'a FarPod> {
        let asks = move |it: &&FarPod| it.record.asks_alone().any(|asked| asked == pod);
        self.pods.iter().filter(asks)
    }

    /// The link as one between hosts, and the tunnel that it is. Both hosts compute it alike.
    pub(super) fn tunnel(&self, link: Link, pod: &FarPod) -> Option<(Link, Tunnel)> {
        let pair = |v4: bool| {
            let of_family = |list: &[IpAddr]| list.iter().copied().find(|ip| ip.is_ipv4() == v4);
            of_family(&self.local).zip(of_family(&pod.addresses))
        };
        let (local, remote) = pair(true).or_else(|| pair(false))?;
        let tunnel = Tunnel {
            local,
            remote,
            vni: vni_of(&link.id()),
            port: PORT,
        };
        Some((between_hosts(link, &pod.node), tunnel))
    }
}

impl FarPod {
    fn read(keys: &Keys<'_>) -> Result<Self, Error> {
        Ok(Self {
            node: keys.text("node")?,
            addresses: addresses(keys, "addresses")?,
            record: Record::read(keys)?,
        })
    }
}

/// The same link with its ends on two hosts.
pub(super) fn between_hosts(link: Link, peer: &str) -> Link {
    let hosts = Hosts {
        own: String::new(),
        peer: peer.to_owned(),
        vni: None,
    };
    Link {
        hosts: Some(hosts),
        ..link
    }
}

fn addresses(keys: &Keys<'_>, key: &'static str) -> Result<Vec<IpAddr>, Error> {
    let texts = keys.texts(key)?;
    let parsed = texts.iter().map(|text| net::parse_ip(text));
    parsed
        .collect::<Result<_, _>>()
        .map_err(|error| super::invalid(format!("{}: {error}", keys.name(key))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_goes_between_addresses_of_one_family_and_is_the_same_from_both_sides() {
        let text = |local: &str, far: &str, own: &str, peer: &str| {
            format!(
                r#"{{"local": [{local}], "pods": [{{"pod": "default/{own}", "node": "n", "addresses": [{far}],
                "links": [{{"link": {{"peer": "default/{peer}", "if": "e{own}", "peerIf": "e{peer}"}}}}]}}]}}"#
            )
        };
        let (one, two) = (r#""192.0.2.1", "2001:db8::1""#, r#""2001:db8::2""#);
        let here = Far::parse(text(one, two, "b", "a").as_bytes());
        let there = Far::parse(text(two, one, "a", "b").as_bytes());
        let tunnel = |far: &Far, name| {
            let pod = far.pod(name).unwrap();
            let (link, _) = pod.record.wanted().next().unwrap();
            far.tunnel(link.reversed(), pod).unwrap()
        };
        let (of_a, near) = tunnel(&here, "default/b");
        let (of_b, far) = tunnel(&there, "default/a");
        assert_eq!((near.local, near.remote), (far.remote, far.local));
        assert_eq!(near.vni, far.vni);
        assert_eq!(of_a.own.id(), of_b.peer.id());
        assert!(near.local.is_ipv6());
        let none = Far::parse(text(r#""192.0.2.1""#, two, "b", "a").as_bytes());
        let pod = none.pod("default/b").unwrap();
        let (link, _) = pod.record.wanted().next().unwrap();
        assert!(none.tunnel(link.reversed(), pod).is_none());
    }

    #[test]
    fn a_pod_that_cannot_be_read_takes_nothing_from_the_others() {
        for links in [r#"7"#, r#"[{"link": 7}]"#, r#"[{"link": {"peer": 7}}]"#] {
            let text = format!(
                r#"{{"pods": [{{"pod": "default/a", "links": {links}}}, {{"pod": "default/b"}}]}}"#
            );
            let far = Far::parse(text.as_bytes());
            assert!(far.pod("default/a").is_none(), "{links}");
            assert!(far.pod("default/b").is_some(), "{links}");
        }
    }

    #[test]
    fn a_file_that_is_none_tells_of_nobody() {
        for text in ["", "{", "[]", r#"{"pods": 7}"#, r#"{"local": ["x"]}"#] {
            assert!(Far::parse(text.as_bytes()).pods.is_empty(), "{text}");
        }
    }
}
