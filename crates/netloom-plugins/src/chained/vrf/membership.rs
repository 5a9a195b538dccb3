//! Joining and leaving a VRF with everything that the link has.
//!
//! The kernel takes the link down and up. That costs its routes, but for those to its own subnets,
//! which come again by themselves in the right table; and its IPv6 addresses, unless its
//! `keep_addr_on_down` is set. So all of it goes into one batch with the change: whoever dies
//! before it has changed nothing, and afterwards nothing is lost.

use crate::wiring::pod::wait_for_dad;
use crate::wiring::tables::FAMILIES;
use crate::wiring::{SetupError, routes};
use netloom_kernel::rtnl::{
    Address, AddressSpec, Link, LinkChange, Route, RouteKind, RouteSpec, Scope, Socket, table,
};

/// `RTPROT_REDIRECT`, `RTPROT_KERNEL` and `RTPROT_RA`: made by the kernel on its own account.
const BY_THE_KERNEL: [u8; 3] = [1, 2, 9];

/// What a link has that it would lose.
#[derive(Debug)]
pub(super) struct Belongings {
    link: u32,
    name: String,
    addresses: Vec<AddressSpec<'static>>,
    /// Those without a next hop first.
    routes: Vec<Route>,
    /// Where routes are that follow the link; others stay in their tables.
    home: u32,
}

/// What becomes of a route that cannot be put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restore {
    /// It is an error.
    Strictly,
    /// Nothing: the link is about to go.
    IfPossible,
}

impl Belongings {
    /// Of a link that is in no VRF.
    pub(super) fn of(socket: &Socket, link: &Link) -> Result<Self, SetupError> {
        let what = || SetupError::kernel(format!("look at {:?}", link.name));
        let addresses = socket.list_addresses(link.index).map_err(what())?;
        let mut listed = Vec::new();
        for family in FAMILIES {
            let found = routes::by_link(socket, family, link.index, table::ANY);
            listed.extend(found.map_err(what())?);
        }
        Ok(Self {
            link: link.index,
            name: link.name.clone(),
            addresses: addresses.iter().filter_map(kept).collect(),
            routes: listed,
            home: table::MAIN,
        })
    }

    /// Of a link that is in a VRF with this table.
    pub(super) fn in_table(self, home: u32) -> Self {
        Self { home, ..self }
    }

    /// Changes the link's master, and gives back what it loses by that: routes that follow the
    /// link in the table `to`.
    pub(super) fn change_master(
        &self,
        socket: &Socket,
        change: &LinkChange<'_>,
        to: u32,
        restore: Restore,
    ) -> Result<(), SetupError> {
        let routes: Vec<RouteSpec> = self
            .routes
            .iter()
            .filter(|route| self.would_go(route))
            .map(|route| self.placed(route, to))
            .collect();
        let mut batch = socket.batch();
        batch.set_link(self.link, change);
        for address in &self.addresses {
            batch.add_address(self.link, *address);
        }
        let first_route = batch.len();
        for route in &routes {
            batch.append_route(route);
        }
        let failures = batch.commit_all().map_err(|e| self.failed(e))?.failures;
        let mut early = Vec::new();
        for (index, error) in failures {
            let harmless = error.is_exists() || restore == Restore::IfPossible;
            match index.checked_sub(first_route) {
                _ if index != 0 && harmless => {}
                // A route may have to wait for the address that it sends from (IPv6).
                Some(number) => early.push(&routes[number]),
                None => return Err(self.failed(error)),
            }
        }
        if early.is_empty() {
            return Ok(());
        }
        wait_for_dad(socket, self.link, &self.name)?;
        let mut batch = socket.batch();
        for route in early {
            batch.append_route(route);
        }
        batch.commit().map(drop).map_err(|e| self.failed(e))
    }

    fn placed(&self, route: &Route, to: u32) -> RouteSpec {
        let follows = route.table == self.home;
        RouteSpec::of(route).table(if follows { to } else { route.table })
    }

    fn failed(&self, cause: netloom_kernel::Error) -> SetupError {
        SetupError::Kernel {
            what: format!("could not change the master of {:?}", self.name),
            cause,
        }
    }

    /// Whether a route does not come again by itself.
    fn would_go(&self, route: &Route) -> bool {
        let by_itself = route.table == self.home && BY_THE_KERNEL.contains(&route.protocol);
        route.kind == RouteKind::Unicast && !by_itself
    }
}

/// An IPv6 address that was given for good. IPv4 addresses stay, and others come again.
fn kept(found: &Address) -> Option<AddressSpec<'static>> {
    let stays = found.address.addr().is_ipv4() || found.scope != Scope::Universe;
    if stays || !found.flags.is_permanent() {
        return None;
    }
    let mut spec = AddressSpec::new(found.address);
    if let Some(peer) = found.peer {
        spec = spec.peer(peer);
    }
    if found.flags.is_without_dad() {
        spec = spec.no_dad();
    }
    if found.flags.is_without_prefix_route() {
        spec = spec.no_prefix_route();
    }
    Some(spec)
}
