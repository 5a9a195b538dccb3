//! The link of which a pod's link is made: `master` of macvlan, ipvlan and vlan.

use super::place::Place;
use super::setup_error::invalid;
use super::tables::FAMILIES;
use super::{SetupError, check, default_route, mtu};
use netloom_kernel::netns::Netns;
use netloom_kernel::rtnl::{Link, Route, Socket};
use netloom_spec::Error;
use std::fmt;

/// A master, and where it is.
#[derive(Debug)]
pub(crate) struct Master {
    pub(crate) link: Link,
    pub(crate) place: Place,
}

impl Master {
    /// The link of that name, or without a name the link of the default route, IPv4's before IPv6's.
    /// `socket` is in the namespace of that place.
    pub(crate) fn find(
        socket: &Socket,
        place: Place,
        name: Option<&str>,
    ) -> Result<Self, SetupError> {
        let link = match name {
            None => of_default_route(socket, place)?,
            Some(name) => socket
                .get_link(name)
                .map_err(|cause| SetupError::NoMaster {
                    name: name.to_owned(),
                    place,
                    cause,
                })?,
        };
        Ok(Self { link, place })
    }

    /// Checks the MTU for a link on this master, as [`mtu::read_of_upper`] has read it.
    pub(crate) fn mtu(&self, mtu: u32) -> Result<u32, Error> {
        let largest = self.link.mtu;
        if mtu <= largest {
            return Ok(mtu);
        }
        Err(invalid(format!(
            "invalid MTU {mtu}, must be [0, master MTU({largest})]; from {} on, or 0 for that of \
             master {:?}",
            mtu::SMALLEST,
            self.link.name
        )))
    }

    /// CHECK: fails unless this is the master of the pod's link.
    pub(crate) fn check(&self, inside: &Socket, link: &Link) -> Result<(), SetupError> {
        if link.lower == Some(self.link.index) && self.is_where_it_stands(inside, link)? {
            return Ok(());
        }
        Err(check::mismatch(format!(
            "Interface {} does not stand on master {self}",
            link.name
        )))
    }

    /// Whether the link's master is in the namespace of this one. The index alone proves nothing: each
    /// namespace counts its own links from 1.
    fn is_where_it_stands(&self, inside: &Socket, link: &Link) -> Result<bool, SetupError> {
        match (self.place, link.lower_netns) {
            (Place::Pod, elsewhere) => Ok(elsewhere.is_none()),
            (Place::Host, None) => Ok(false),
            (Place::Host, Some(namespace)) => {
                let failed = SetupError::kernel("identify the host's network namespace");
                let host = || inside.namespace_id(&Netns::current()?);
                Ok(host().map_err(failed)? == Some(namespace))
            }
        }
    }
}

impl fmt::Display for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.link.name, self.place.words())
    }
}

fn of_default_route(socket: &Socket, place: Place) -> Result<Link, SetupError> {
    for family in FAMILIES {
        let route = default_route::find(socket, family)?;
        if let Some(index) = route.as_ref().and_then(device) {
            return socket
                .get_link(index)
                .map_err(SetupError::kernel("look up the default route's link"));
        }
    }
    Err(SetupError::NoDefaultRoute(place))
}

fn device(route: &Route) -> Option<u32> {
    let first_hop = || route.next_hops.first().map(|hop| hop.device);
    route.device.or_else(first_hop)
}
