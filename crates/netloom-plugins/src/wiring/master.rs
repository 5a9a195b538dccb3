//! The link that a pod's link stands on: `master` of macvlan, ipvlan and vlan.

use super::fault::invalid;
use super::{Fault, check, mtu};
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{Family, Link, Route, RouteFilter, RouteKind, Socket, table};
use netloom_spec::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that only a default route leads to: they are for documentation (RFC 5737, RFC 9637).
const ANYWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 1)),
];

/// Where the master is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the host.
    Host,
    /// In the pod: `linkInContainer`.
    Pod,
}

impl Place {
    /// Reads `linkInContainer`.
    pub(crate) fn new(link_in_container: bool) -> Self {
        if link_in_container {
            Self::Pod
        } else {
            Self::Host
        }
    }

    /// For messages.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Host => "on the host",
            Self::Pod => "in the container",
        }
    }
}

/// A link to stand on.
#[derive(Debug)]
pub(crate) struct Master {
    pub(crate) link: Link,
    pub(crate) place: Place,
}

impl Master {
    /// The link of that name, or without a name that of the default route; IPv4's comes first.
    /// `socket` is one of the place.
    pub(crate) fn find(socket: &Socket, place: Place, name: Option<&str>) -> Result<Self, Fault> {
        let link = match name {
            None => of_default_route(socket, place)?,
            Some(name) => socket.get_link(name).map_err(|cause| Fault::NoMaster {
                name: name.to_owned(),
                place,
                cause,
            })?,
        };
        Ok(Self { link, place })
    }

    /// Reads `mtu`; 0 leaves it to the kernel, which takes the master's.
    pub(crate) fn mtu(&self, value: i64) -> Result<u32, Error> {
        let largest = self.link.mtu;
        match u32::try_from(value) {
            Ok(mtu) if mtu == 0 || (mtu::SMALLEST..=largest).contains(&mtu) => Ok(mtu),
            _ => Err(invalid(format!(
                "invalid MTU {value}, must be [0, master MTU({largest})]; from {} on, or 0 for \
                 that of master {:?}",
                mtu::SMALLEST,
                self.link.name
            ))),
        }
    }

    /// CHECK: the pod's link stands on this one.
    pub(crate) fn check(&self, inside: &Socket, link: &Link) -> Result<(), Fault> {
        let namespace = match self.place {
            Place::Pod => None,
            Place::Host => {
                let failed = Fault::kernel("identify the host's network namespace");
                let host = || inside.namespace_id(&Netns::current()?);
                host().map_err(failed)?
            }
        };
        if link.lower == Some(self.link.index) && link.lower_netns == namespace {
            return Ok(());
        }
        Err(check::drift(format!(
            "Interface {} does not stand on master {self}",
            link.name
        )))
    }
}

impl fmt::Display for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.link.name, self.place.words())
    }
}

fn of_default_route(socket: &Socket, place: Place) -> Result<Link, Fault> {
    for anywhere in ANYWHERE {
        if let Some(index) = default_device(socket, anywhere)? {
            return socket
                .get_link(index)
                .map_err(Fault::kernel("look up the default route's link"));
        }
    }
    Err(Fault::NoDefaultRoute(place))
}

/// The link of the main table's default route of this address's family.
fn default_device(socket: &Socket, anywhere: IpAddr) -> Result<Option<u32>, Fault> {
    let in_main = |route: &Route| route.is_default() && route.table == table::MAIN;
    if let Ok(route) = socket.match_route(anywhere)
        && in_main(&route)
        && let Some(device) = device(&route)
    {
        return Ok(Some(device));
    }
    // There is none, or a rule or another route hides it: that of a VPN, for example.
    let mut routes = socket
        .list_routes(&RouteFilter::main(Family::of(anywhere)))
        .map_err(Fault::kernel("list the routes"))?;
    routes.retain(|route| in_main(route) && route.kind == RouteKind::Unicast);
    routes.sort_by_key(|route| route.priority);
    Ok(routes.iter().find_map(device))
}

fn device(route: &Route) -> Option<u32> {
    let first_hop = || route.next_hops.first().map(|hop| hop.device);
    route.device.or_else(first_hop)
}
