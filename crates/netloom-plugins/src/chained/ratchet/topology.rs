//! Links that an administrator wrote, and which hosts their pods are on: the configuration's own, and
//! the files `*.json` of a directory.

use super::keys::Keys;
use super::link::{Hosts, Link, LinkText};
use crate::wiring::setup_error::invalid;
use crate::wiring::state_file;
use netloom_spec::{Error, code, decode, net};
use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Of IANA, and of netloom's other links.
pub(super) const PORT: u16 = 4789;
/// Numbers below are left to people.
const FIRST_VNI: u32 = 4096;
const LAST_VNI: u32 = (1 << 24) - 1;

/// A topology as it is written, unvalidated.
#[derive(Debug, Default)]
pub(super) struct Topology {
    pub(super) links: Vec<LinkText>,
    /// Names, and the address that other hosts reach each by.
    hosts: Vec<(String, String)>,
    /// The UDP port of vxlan.
    port: u16,
}

/// What the two ends of a vxlan have in common, and what each has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tunnel {
    pub(super) local: IpAddr,
    pub(super) remote: IpAddr,
    pub(super) vni: u32,
    pub(super) port: u16,
}

impl Topology {
    pub(super) fn read(keys: &Keys<'_>) -> Result<Self, Error> {
        let mut hosts = Vec::new();
        if let Some(keys) = keys.object("hosts")? {
            let named = keys.whole().iter().filter(|(_, value)| !value.is_null());
            for (name, value) in named {
                let host = Keys::in_value(value, keys.name(name))?;
                hosts.push((name.clone(), host.text("underlay")?));
            }
        }
        let port = match keys.number("port")? {
            0 => PORT,
            port => u16::try_from(port).map_err(|_| {
                let name = keys.name("port");
                invalid(format!("{name} {port}: expected 1 to 65535"))
            })?,
        };
        let links = keys.objects("links")?;
        Ok(Self {
            links: links.iter().map(LinkText::read).collect::<Result<_, _>>()?,
            hosts,
            port,
        })
    }

    /// The tunnel of a link whose pods are on different hosts. Both hosts compute it alike.
    pub(super) fn tunnel(&self, link: &Link, hosts: &Hosts, this: &str) -> Result<Tunnel, Error> {
        if hosts.own != this {
            return Err(invalid(format!(
                "host {:?} of {}: this host is {this:?}; set \"host\" if it has another name in \
                 topologies",
                hosts.own,
                link.own.id()
            )));
        }
        let (local, remote) = (self.underlay(&hosts.own)?, self.underlay(&hosts.peer)?);
        if local.is_ipv4() != remote.is_ipv4() {
            return Err(invalid(format!(
                "underlay {local} of host {:?} and {remote} of {:?} are of different families",
                hosts.own, hosts.peer
            )));
        }
        Ok(Tunnel {
            local,
            remote,
            vni: hosts.vni.unwrap_or_else(|| vni_of(&link.id())),
            port: self.port,
        })
    }

    fn underlay(&self, host: &str) -> Result<IpAddr, Error> {
        let found = self.hosts.iter().find(|(name, _)| name == host);
        let (_, underlay) = found.ok_or_else(|| {
            let known: Vec<&str> = self.hosts.iter().map(|(name, _)| name.as_str()).collect();
            let known = known.join(", ");
            invalid(format!("host {host:?} is not in hosts, which has: {known}"))
        })?;
        net::parse_ip(underlay)
            .map_err(|error| error.context(format_args!("hosts.{host}.underlay")))
    }
}

/// The number of a tunnel follows from its link, so that nobody has to agree on one.
pub(super) fn vni_of(link: &str) -> u32 {
    let digits = crate::wiring::owner::hash16(&[link]);
    let number = u64::from_str_radix(&digits, 16).unwrap_or_default();
    let range = u64::from(LAST_VNI - FIRST_VNI) + 1;
    FIRST_VNI + u32::try_from(number % range).unwrap_or_default()
}

/// The topologies of a directory, each with its file, in the order of their names. A directory that
/// is not there has none.
pub(super) fn read_all(directory: &Path) -> Result<Vec<(PathBuf, Topology)>, Error> {
    let failed = |cause| {
        let what = format!("cannot list topologies in {}: {cause}", directory.display());
        Error::new(code::IO, what)
    };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|it| it == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.into_iter().map(read_one).collect()
}

fn read_one(path: PathBuf) -> Result<(PathBuf, Topology), Error> {
    let named = |error: Error| error.context(format_args!("topology {}", path.display()));
    let bytes = state_file::read_configuration(&path)
        .map_err(|cause| named(Error::new(code::IO, cause.to_string())))?;
    let object = decode::parse_object(&bytes).map_err(named)?;
    let topology = Topology::read(&Keys::of(&object, "")).map_err(named)?;
    Ok((path, topology))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology() -> Topology {
        let object = serde_json::json!({"hosts": {
            "a": {"underlay": "192.0.2.1"}, "b": {"underlay": "192.0.2.2"},
            "c": {"underlay": "fd00::1"}, "d": {"underlay": "x"}}});
        Topology::read(&Keys::in_value(&object, "").unwrap()).unwrap()
    }

    fn link(host: &str, peer_host: &str) -> Link {
        let link = serde_json::json!({"if": "in1", "peer": "default/b", "peerIf": "in2",
            "host": host, "peerHost": peer_host});
        let text = LinkText::read(&Keys::in_value(&link, "").unwrap()).unwrap();
        Link::read(&text, "default/a", "links[0]").unwrap()
    }

    #[test]
    fn both_hosts_compute_one_tunnel() {
        let near = link("a", "b");
        let far = near.clone().reversed();
        let tunnel = |link: &Link, this| {
            let hosts = link.hosts.clone().unwrap();
            topology().tunnel(link, &hosts, this).unwrap()
        };
        let (near, far) = (tunnel(&near, "a"), tunnel(&far, "b"));
        assert_eq!((near.local, near.remote), (far.remote, far.local));
        assert_eq!((near.vni, near.port), (far.vni, 4789));
        assert!((FIRST_VNI..=LAST_VNI).contains(&near.vni));
    }

    #[test]
    fn a_host_that_is_unknown_or_of_another_family_is_named() {
        for (own, peer, told) in [
            ("a", "x", "host \"x\" is not in hosts"),
            ("a", "c", "different families"),
            ("a", "d", "hosts.d.underlay"),
            ("b", "a", "this host is \"a\""),
        ] {
            let link = link(own, peer);
            let hosts = link.hosts.clone().unwrap();
            let error = topology().tunnel(&link, &hosts, "a").unwrap_err();
            assert!(error.msg.contains(told), "{error}");
        }
    }
}
