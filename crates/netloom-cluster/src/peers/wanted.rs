//! What the kernel is to have for the peers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use netloom_spec::Mac;

use super::Peer;
use crate::flannel::{Backend, Mode};

/// A peer's tunnel end, as a neighbour on this host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Neighbour {
    /// The index of this host's tunnel end.
    pub device: u32,
    /// The first address of the peer's subnet, which stands for its tunnel end.
    pub ip: IpAddr,
    /// The hardware address of the peer's tunnel end.
    pub mac: Mac,
}

/// Which host has a tunnel end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Forwarding {
    /// The index of this host's tunnel end.
    pub device: u32,
    /// The hardware address of the peer's.
    pub mac: Mac,
    /// The peer's own address.
    pub remote: IpAddr,
}

/// A route to a peer's pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// The peer's subnet.
    pub dst: IpNet,
    /// The peer itself, or what stands for its tunnel end.
    pub via: IpAddr,
    /// The index of the link.
    pub device: u32,
    /// No address of the link says that the gateway is there.
    pub onlink: bool,
}

/// The indices of this host's tunnel ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tunnels {
    /// For IPv4 pods.
    pub v4: Option<u32>,
    /// For IPv6 pods.
    pub v6: Option<u32>,
}

impl Tunnels {
    /// That of the family of an address.
    #[must_use]
    pub fn of_family(&self, like: IpAddr) -> Option<u32> {
        if like.is_ipv4() { self.v4 } else { self.v6 }
    }

    /// Both.
    pub fn devices(&self) -> impl Iterator<Item = u32> {
        self.v4.into_iter().chain(self.v6)
    }
}

/// Why there is no way to a peer's pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// The mode is host-gw, and the peer is behind a router.
    NotOnLink(IpAddr),
    /// The peer has announced no tunnel end.
    NoTunnelEnd(IpAddr),
    /// The peer's tunnel has another network identifier than ours.
    OtherVni(u32),
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOnLink(ip) => write!(
                f,
                "{ip} is not on a link of this host, which host-gw needs: Backend.Type auto or vxlan reaches it"
            ),
            Self::NoTunnelEnd(ip) => write!(
                f,
                "{ip} is not on a link of this host, and announces no tunnel end"
            ),
            Self::OtherVni(vni) => write!(f, "its tunnel has VNI {vni}, ours another"),
        }
    }
}

/// What the kernel is to have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Peers' tunnel ends.
    pub neighbours: BTreeSet<Neighbour>,
    /// Where they are.
    pub forwarding: BTreeSet<Forwarding>,
    /// The way to each subnet.
    pub routes: BTreeMap<IpNet, Route>,
    /// Whose pods cannot be reached: the record's key, and why.
    pub unreachable: Vec<(String, Unreachable)>,
}

/// Tells what the kernel is to have. `on_link` gives the index of the link that a host's address is on, if
/// it is on one.
#[must_use]
pub fn wanted(
    peers: &[Peer],
    backend: &Backend,
    tunnels: &Tunnels,
    mut on_link: impl FnMut(IpAddr) -> Option<u32>,
) -> Wanted {
    let mut wanted = Wanted::default();
    for peer in peers {
        for part in &peer.parts {
            let direct = match backend.mode {
                Mode::Vxlan => None,
                Mode::HostGw | Mode::Auto => on_link(part.public),
            };
            if let Some(device) = direct {
                wanted.routes.insert(
                    part.subnet,
                    Route {
                        dst: part.subnet,
                        via: part.public,
                        device,
                        onlink: false,
                    },
                );
                continue;
            }
            let tunnel = tunnels.of_family(part.subnet.addr());
            let (device, vtep) = match (backend.mode, tunnel, part.vtep) {
                (Mode::HostGw, ..) => {
                    let why = Unreachable::NotOnLink(part.public);
                    wanted.unreachable.push((peer.key.clone(), why));
                    continue;
                }
                (_, Some(device), Some(vtep)) if vtep.vni == backend.vni => (device, vtep),
                (_, _, Some(vtep)) if vtep.vni != backend.vni => {
                    let why = Unreachable::OtherVni(vtep.vni);
                    wanted.unreachable.push((peer.key.clone(), why));
                    continue;
                }
                _ => {
                    let why = Unreachable::NoTunnelEnd(part.public);
                    wanted.unreachable.push((peer.key.clone(), why));
                    continue;
                }
            };
            wanted.tunnel(part.subnet, part.public, device, vtep.mac);
        }
    }
    wanted
}

impl Wanted {
    fn tunnel(&mut self, subnet: IpNet, remote: IpAddr, device: u32, mac: Mac) {
        let via = subnet.addr();
        self.neighbours.insert(Neighbour {
            device,
            ip: via,
            mac,
        });
        self.forwarding.insert(Forwarding {
            device,
            mac,
            remote,
        });
        let route = Route {
            dst: subnet,
            via,
            device,
            onlink: true,
        };
        self.routes.insert(subnet, route);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flannel::Vtep;
    use crate::peers::Part;

    const UPLINK: u32 = 2;
    const TUNNEL: Tunnels = Tunnels {
        v4: Some(9),
        v6: None,
    };

    fn peer(number: u8, vni: Option<u32>) -> Peer {
        let mac = Mac([2, 0, 0, 0, 0, number]);
        Peer {
            key: format!("10.5.{number}.0-24"),
            parts: vec![Part {
                subnet: format!("10.5.{number}.0/24").parse().unwrap(),
                public: format!("192.0.2.{number}").parse().unwrap(),
                vtep: vni.map(|vni| Vtep { vni, mac }),
            }],
        }
    }

    fn backend(mode: Mode) -> Backend {
        Backend {
            mode,
            vni: 1,
            port: 8472,
            mtu: None,
        }
    }

    /// Peers with an odd number are on the uplink.
    fn odd(ip: IpAddr) -> Option<u32> {
        let IpAddr::V4(ip) = ip else { return None };
        (ip.octets()[3] % 2 == 1).then_some(UPLINK)
    }

    #[test]
    fn auto_takes_the_direct_way_where_there_is_one_and_the_tunnel_elsewhere() {
        let peers = [
            peer(3, Some(1)),
            peer(4, Some(1)),
            peer(6, None),
            peer(8, Some(7)),
        ];
        let wanted = wanted(&peers, &backend(Mode::Auto), &TUNNEL, odd);
        let routes: Vec<_> = wanted
            .routes
            .values()
            .map(|r| (r.via.to_string(), r.device, r.onlink))
            .collect();
        assert_eq!(
            routes,
            [
                ("192.0.2.3".into(), UPLINK, false),
                ("10.5.4.0".into(), 9, true)
            ]
        );
        assert_eq!((wanted.neighbours.len(), wanted.forwarding.len()), (1, 1));
        let why: Vec<_> = wanted.unreachable.iter().map(|(_, why)| *why).collect();
        let no_end = Unreachable::NoTunnelEnd("192.0.2.6".parse().unwrap());
        assert_eq!(why, [no_end, Unreachable::OtherVni(7)]);
    }

    #[test]
    fn host_gw_never_tunnels_and_vxlan_always_does() {
        let peers = [peer(3, Some(1)), peer(4, Some(1))];
        let direct = wanted(&peers, &backend(Mode::HostGw), &Tunnels::default(), odd);
        assert_eq!(
            (
                direct.routes.len(),
                direct.forwarding.len(),
                direct.unreachable.len()
            ),
            (1, 0, 1)
        );
        let tunnelled = wanted(&peers, &backend(Mode::Vxlan), &TUNNEL, odd);
        assert_eq!((tunnelled.routes.len(), tunnelled.forwarding.len()), (2, 2));
    }
}
