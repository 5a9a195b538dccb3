//! What to change, in which order.
//!
//! A packet must never find a route whose way is not there yet: what a route needs comes before it, and
//! goes after it. A route that is to be another is replaced, never removed first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Forwarding, Neighbour, Route, Wanted};

/// What the kernel has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// The lasting neighbours on this host's tunnel ends.
    pub neighbours: BTreeSet<Neighbour>,
    /// The forwarding of this host's tunnel ends.
    pub forwarding: BTreeSet<Forwarding>,
    /// Routes that bear our protocol number, or leave by a tunnel end.
    pub routes: Vec<SeenRoute>,
    /// The others that touch the pod network.
    pub foreign: Vec<SeenRoute>,
}

/// A route as the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenRoute {
    /// Where to.
    pub dst: IpNet,
    /// By which gateway; `None` if the destination is on the link.
    pub via: Option<IpAddr>,
    /// By which link, if by one.
    pub device: Option<u32>,
    /// It bears our protocol number.
    pub ours: bool,
}

/// A change of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Set it, known before or not.
    SetNeighbour(Neighbour),
    /// Set it, in place of another of the same hardware address.
    SetForwarding(Forwarding),
    /// Add it, or replace that of the same destination.
    ReplaceRoute(Route),
    /// Remove it.
    RemoveRoute(SeenRoute),
    /// Remove it.
    RemoveForwarding(Forwarding),
    /// Remove it.
    RemoveNeighbour(Neighbour),
}

impl Change {
    /// Whether it takes something away.
    #[must_use]
    pub fn removes(&self) -> bool {
        match self {
            Self::SetNeighbour(_) | Self::SetForwarding(_) | Self::ReplaceRoute(_) => false,
            Self::RemoveRoute(_) | Self::RemoveForwarding(_) | Self::RemoveNeighbour(_) => true,
        }
    }
}

/// A subnet that has no route, since a route of somebody else is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign {
    /// The peer's subnet.
    pub subnet: IpNet,
    /// The destination of the other route.
    pub route: IpNet,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subnet, route } = self;
        write!(
            f,
            "{subnet} has no route: this host has one to {route} of somebody else"
        )
    }
}

/// Tells what to change, in order, and which subnets stay without a route.
#[must_use]
pub fn difference(wanted: &Wanted, seen: &Seen) -> (Vec<Change>, Vec<Foreign>) {
    let (mut changes, mut foreign) = (Vec::new(), Vec::new());
    let missing = wanted.neighbours.difference(&seen.neighbours);
    changes.extend(missing.copied().map(Change::SetNeighbour));
    let missing = wanted.forwarding.difference(&seen.forwarding);
    changes.extend(missing.copied().map(Change::SetForwarding));
    let present: BTreeMap<IpNet, &SeenRoute> =
        seen.routes.iter().map(|route| (route.dst, route)).collect();
    let others = Others::of(&seen.foreign);
    let mut refused = BTreeSet::new();
    for route in wanted.routes.values() {
        if present.get(&route.dst).is_some_and(|seen| is(seen, route)) {
            continue;
        }
        match others.in_the_way(route) {
            Some(other) => {
                refused.insert(route.dst);
                foreign.push(Foreign {
                    subnet: route.dst,
                    route: other,
                });
            }
            None => changes.push(Change::ReplaceRoute(*route)),
        }
    }
    removals(wanted, seen, &refused, &mut changes);
    (changes, foreign)
}

/// In the reverse order of what is added.
fn removals(wanted: &Wanted, seen: &Seen, refused: &BTreeSet<IpNet>, changes: &mut Vec<Change>) {
    let is_wanted = |dst: &IpNet| wanted.routes.contains_key(dst) && !refused.contains(dst);
    let stale = seen.routes.iter().filter(|route| !is_wanted(&route.dst));
    changes.extend(stale.copied().map(Change::RemoveRoute));
    // Setting has replaced those of the same hardware address already.
    let set: BTreeSet<_> = wanted
        .forwarding
        .iter()
        .map(|f| (f.device, f.mac))
        .collect();
    let stale = seen.forwarding.difference(&wanted.forwarding);
    let stale = stale.filter(|entry| !set.contains(&(entry.device, entry.mac)));
    changes.extend(stale.copied().map(Change::RemoveForwarding));
    let set: BTreeSet<_> = wanted.neighbours.iter().map(|n| (n.device, n.ip)).collect();
    let stale = seen.neighbours.difference(&wanted.neighbours);
    let stale = stale.filter(|neighbour| !set.contains(&(neighbour.device, neighbour.ip)));
    changes.extend(stale.copied().map(Change::RemoveNeighbour));
}

/// Whether a route is as it is wanted.
fn is(seen: &SeenRoute, wanted: &Route) -> bool {
    seen.ours && is_same_way(seen, wanted)
}

fn is_same_way(seen: &SeenRoute, wanted: &Route) -> bool {
    seen.via == Some(wanted.via) && seen.device == Some(wanted.device)
}

/// Routes of others, by their first address.
struct Others<'s> {
    routes: BTreeMap<(IpAddr, u8), &'s SeenRoute>,
}

impl<'s> Others<'s> {
    fn of(routes: &'s [SeenRoute]) -> Self {
        let key = |route: &SeenRoute| (route.dst.addr(), route.dst.prefix_len());
        Self {
            routes: routes.iter().map(|route| (key(route), route)).collect(),
        }
    }

    /// A route of somebody else that takes some of the subnet's packets, or that says that its addresses
    /// are on a link of this host. One that is exactly as wanted is taken over, and one that is less
    /// specific and goes by a gateway leads elsewhere what we do not know.
    fn in_the_way(&self, wanted: &Route) -> Option<IpNet> {
        let net = wanted.dst;
        let inside = self
            .routes
            .range((net.addr(), 0)..=(net.broadcast(), u8::MAX));
        let inside = inside
            .map(|(_, route)| *route)
            .find(|route| net.contains(&route.dst) && !is_same_way(route, wanted));
        // At most one for each length of a prefix.
        let around = || {
            (1..net.prefix_len()).rev().find_map(|length| {
                let wider = IpNet::new(net.addr(), length).ok()?.trunc();
                let route = *self.routes.get(&(wider.addr(), length))?;
                (route.via.is_none() && route.device.is_some()).then_some(route)
            })
        };
        inside.or_else(around).map(|route| route.dst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netloom_spec::Mac;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn tunnel(number: u8, remote: u8) -> (Neighbour, Forwarding, Route) {
        let mac = Mac([2, 0, 0, 0, 0, number]);
        let ip = IpAddr::from([10, 5, number, 0]);
        let route = Route {
            dst: IpNet::new(ip, 24).unwrap(),
            via: ip,
            device: 9,
            onlink: true,
        };
        let forwarding = Forwarding {
            device: 9,
            mac,
            remote: IpAddr::from([192, 0, 2, remote]),
        };
        (Neighbour { device: 9, ip, mac }, forwarding, route)
    }

    fn wanted(numbers: &[u8]) -> Wanted {
        let mut wanted = Wanted::default();
        for number in numbers {
            let (neighbour, forwarding, route) = tunnel(*number, *number);
            wanted.neighbours.insert(neighbour);
            wanted.forwarding.insert(forwarding);
            wanted.routes.insert(route.dst, route);
        }
        wanted
    }

    /// The kernel, as far as changes concern it. Checks the order.
    fn apply(seen: &mut Seen, changes: &[Change]) {
        for change in changes {
            match *change {
                Change::SetNeighbour(n) => {
                    seen.neighbours
                        .retain(|old| (old.device, old.ip) != (n.device, n.ip));
                    seen.neighbours.insert(n);
                }
                Change::SetForwarding(f) => {
                    seen.forwarding
                        .retain(|old| (old.device, old.mac) != (f.device, f.mac));
                    seen.forwarding.insert(f);
                }
                Change::ReplaceRoute(r) => {
                    seen.routes.retain(|old| old.dst != r.dst);
                    seen.routes.push(ours(&r));
                }
                Change::RemoveRoute(r) => seen.routes.retain(|old| *old != r),
                Change::RemoveForwarding(f) => assert!(seen.forwarding.remove(&f)),
                Change::RemoveNeighbour(n) => assert!(seen.neighbours.remove(&n)),
            }
            for route in seen.routes.iter().filter(|route| route.device == Some(9)) {
                let there = |n: &&Neighbour| Some(n.ip) == route.via;
                let neighbour = seen.neighbours.iter().find(there);
                let mac = neighbour
                    .unwrap_or_else(|| panic!("{route:?} has no neighbour"))
                    .mac;
                assert!(
                    seen.forwarding.iter().any(|f| f.mac == mac),
                    "{route:?} leads nowhere"
                );
            }
        }
    }

    fn ours(route: &Route) -> SeenRoute {
        SeenRoute {
            dst: route.dst,
            via: Some(route.via),
            device: Some(route.device),
            ours: true,
        }
    }

    #[test]
    fn peers_come_move_and_go_without_a_route_that_leads_nowhere() {
        let mut seen = Seen::default();
        for numbers in [&[2, 3, 4][..], &[3, 4], &[3, 4], &[2, 5], &[]] {
            let wanted = wanted(numbers);
            let (changes, foreign) = difference(&wanted, &seen);
            assert_eq!(foreign, []);
            apply(&mut seen, &changes);
            assert_eq!(
                (&seen.neighbours, &seen.forwarding),
                (&wanted.neighbours, &wanted.forwarding)
            );
            assert_eq!(seen.routes.len(), numbers.len());
            let (again, _) = difference(&wanted, &seen);
            assert_eq!(again, [], "a second round has nothing to do");
        }
    }

    #[test]
    fn a_tunnel_end_that_moved_is_set_and_not_removed() {
        let mut seen = Seen::default();
        let (changes, _) = difference(&wanted(&[2]), &seen);
        apply(&mut seen, &changes);
        let mut moved = wanted(&[]);
        let (neighbour, forwarding, route) = tunnel(2, 77);
        moved.neighbours.insert(neighbour);
        moved.forwarding.insert(forwarding);
        moved.routes.insert(route.dst, route);
        assert_eq!(
            difference(&moved, &seen).0,
            [Change::SetForwarding(forwarding)]
        );
    }

    #[test]
    fn flannels_route_is_taken_over_and_a_stale_one_of_its_device_goes() {
        let (_, _, route) = tunnel(2, 2);
        let adopted = SeenRoute {
            ours: false,
            ..ours(&route)
        };
        let (_, _, old) = tunnel(7, 7);
        let stale = SeenRoute {
            ours: false,
            ..ours(&old)
        };
        let seen = Seen {
            routes: vec![adopted, stale],
            ..Seen::default()
        };
        let (changes, _) = difference(&wanted(&[2]), &seen);
        assert_eq!(changes.last(), Some(&Change::RemoveRoute(stale)));
        assert!(changes.contains(&Change::ReplaceRoute(route)));
    }

    #[test]
    fn a_route_of_somebody_else_stays_and_is_named() {
        let other = |dst: &str, via: Option<&str>| SeenRoute {
            dst: net(dst),
            via: via.map(|ip| ip.parse().unwrap()),
            device: Some(2),
            ours: false,
        };
        let cases = [
            (other("10.5.2.0/24", Some("192.0.2.254")), true),
            (other("10.5.2.64/26", Some("192.0.2.254")), true),
            (other("10.5.0.0/16", None), true),
            (other("10.0.0.0/8", Some("192.0.2.254")), false),
            (other("10.5.1.0/24", None), false),
        ];
        for (route, refused) in cases {
            let seen = Seen {
                foreign: vec![route],
                ..Seen::default()
            };
            let (changes, foreign) = difference(&wanted(&[2]), &seen);
            let routed = changes
                .iter()
                .any(|change| matches!(change, Change::ReplaceRoute(_)));
            assert_eq!(
                (routed, foreign.len()),
                (!refused, usize::from(refused)),
                "{route:?}"
            );
        }
        let same = SeenRoute {
            via: Some("10.5.2.0".parse().unwrap()),
            device: Some(9),
            ..other("10.5.2.0/24", None)
        };
        let seen = Seen {
            foreign: vec![same],
            ..Seen::default()
        };
        assert_eq!(difference(&wanted(&[2]), &seen).1, []);
    }
}
