//! Which routes go where, decided before the first one moves.

use super::plan::{Gateway, Source};
use crate::wiring::SetupError;
use ipnet::IpNet;
use netloom_kernel::rtnl::{Family, Route, RouteSpec, RuleSpec, Scope, Socket, table};
use std::net::IpAddr;

/// `RTPROT_BOOT`: what routes of plugins have.
const BOOT: u8 = 3;
/// The protocol of our rules, and of the default route that was in no table before: a number that
/// nobody else uses. DEL knows them by it.
pub(super) const OWN: u8 = 78;
/// The priority that the kernel gives to an IPv6 route without one.
const IPV6_PRIORITY: u32 = 1024;

/// Everything that ADD does to the pod, and DEL takes back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Moves {
    /// The routes of tables of our own, next hops' routes first.
    pub(super) into: Vec<RouteSpec>,
    /// The rules that lead there.
    pub(super) rules: Vec<RuleSpec>,
    /// The routes that leave the main table.
    pub(super) out: Vec<RouteSpec>,
    /// The routes with a source address that the main table gets instead.
    pub(super) hints: Vec<RouteSpec>,
}

/// What becomes of a route that cannot be put back into the main table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restore {
    /// It is an error: the attachment was not made, and all is to be as it was.
    Strictly,
    /// Nothing: the link is about to go.
    IfPossible,
}

impl Moves {
    /// Rules to a table that somebody else fills.
    pub(super) fn rules_only(sources: &[Source], table: u32) -> Self {
        Self {
            rules: sources.iter().map(|source| rule(source, table)).collect(),
            ..Self::default()
        }
    }

    /// A table for each address, and the routes of the link in the main table on their way there.
    /// `main` has routes without a next hop first.
    pub(super) fn plan(
        link: u32,
        sources: &[(Source, u32)],
        main: &[Route],
        with_hints: bool,
    ) -> Self {
        let mut moves = Self::default();
        for (source, table) in sources {
            moves.rules.push(rule(source, *table));
            let copies: Vec<&Route> = main
                .iter()
                .filter(|route| goes_with(route, source, sources))
                .collect();
            let default = own_default(link, source, &copies);
            let (near, far): (Vec<&Route>, Vec<&Route>) =
                copies.iter().partition(|route| route.gateway.is_none());
            let of = |route: &&Route| RouteSpec::of(route);
            let all = near.iter().map(of).chain(default).chain(far.iter().map(of));
            moves.into.extend(all.map(|route| route.table(*table)));
        }
        let hints = if with_hints {
            source_hints(link, sources, main)
        } else {
            Vec::new()
        };
        let leaves = |route: &&Route| {
            let replaced = hints
                .iter()
                .any(|(_, replaced)| replaced.is_some_and(|replaced| replaced == *route));
            let stays = stays(route) || (with_hints && is_near(route, sources));
            replaced || !stays
        };
        moves.out = main.iter().filter(leaves).map(RouteSpec::of).collect();
        moves.hints = hints.into_iter().map(|(hint, _)| hint).collect();
        moves
    }

    /// Does it. The main table loses nothing before all else is there.
    pub(super) fn apply(&self, socket: &Socket) -> Result<(), SetupError> {
        let mut batch = socket.batch();
        for route in &self.into {
            batch.append_route(route);
        }
        for rule in &self.rules {
            batch.add_rule(rule);
        }
        let failed = SetupError::kernel("failed to route by source address");
        batch.commit().map_err(failed)?;
        let mut batch = socket.batch();
        for route in &self.out {
            batch.remove_route(route);
        }
        for hint in &self.hints {
            batch.append_route(hint);
        }
        let failed = SetupError::kernel("failed to move routes out of the main table");
        batch.commit().map(drop).map_err(failed)
    }

    /// Takes it back, as far as it was done.
    pub(super) fn take_back(&self, socket: &Socket, restore: Restore) -> Result<(), SetupError> {
        let mut batch = socket.batch();
        // First: IPv6 takes a hint for the route that it replaces.
        for route in &self.hints {
            batch.remove_route(route);
        }
        let hints = batch.len();
        for route in &self.out {
            batch.append_route(route);
        }
        let restored = hints..batch.len();
        for rule in &self.rules {
            batch.remove_rule(rule);
        }
        for route in &self.into {
            batch.remove_route(route);
        }
        let forgiven = |index: usize, error: &netloom_kernel::Error| {
            restored.contains(&index) && (error.is_exists() || restore == Restore::IfPossible)
        };
        let failed = |cause| SetupError::Kernel {
            what: "failed to take back the routes by source address".to_owned(),
            cause,
        };
        let failures = batch.commit_all().map_err(failed)?.failures;
        let first = failures
            .into_iter()
            .find(|(index, error)| !forgiven(*index, error));
        first.map_or(Ok(()), |(_, error)| Err(failed(error)))
    }
}

/// What DEL gives back of a table's routes: all but the default route that ADD made.
pub(super) fn was_in_main(route: &Route) -> bool {
    !(route.protocol == OWN && route.is_default())
}

/// Whether `addSourceHints` put a route into the main table, where ADD left these to the tables.
pub(super) fn is_hint(route: &Route, tables: &[Route]) -> bool {
    let names_a_source = route.source.is_some_and(|ip| route.dst.contains(&ip));
    let was_there = |other: &Route| other.dst == route.dst && other.source == route.source;
    let made_by_a_plugin = route.protocol == BOOT && !route.is_default();
    made_by_a_plugin && names_a_source && !tables.iter().any(was_there)
}

fn rule(source: &Source, table: u32) -> RuleSpec {
    let mut rule = RuleSpec::from(IpNet::from(source.ip()), table);
    rule.protocol = OWN;
    rule
}

/// Without it neighbour discovery is lost, and no rule is about link-local addresses.
fn stays(route: &Route) -> bool {
    match route.dst {
        IpNet::V4(_) => false,
        IpNet::V6(dst) => dst.prefix_len() != 0 && dst.addr().is_unicast_link_local(),
    }
}

/// Whether a route of the main table goes to the table of an address: it has the address's subnet
/// as its way, or is bound to none. One that is bound to a subnet of nobody goes to all.
fn goes_with(route: &Route, source: &Source, all: &[(Source, u32)]) -> bool {
    let same_family = |source: &Source| source.ip().is_ipv4() == route.dst.addr().is_ipv4();
    let replaced = route.is_default() && matches!(source.gateway, Some(Gateway::Static(_)));
    if !same_family(source) || replaced {
        return false;
    }
    let bound = [route.source, route.gateway];
    let bound_to = |source: &Source| bound.iter().flatten().any(|ip| contains(source, *ip));
    let free = bound == [None, None];
    free || bound_to(source) || !all.iter().any(|(other, _)| bound_to(other))
}

fn contains(source: &Source, ip: IpAddr) -> bool {
    source.address.contains(&ip)
}

/// The default route by the address's gateway, unless a route of the link has its place.
fn own_default(link: u32, source: &Source, copies: &[&Route]) -> Option<RouteSpec> {
    let gateway = source.gateway?.ip();
    let everywhere = match source.address {
        IpNet::V4(_) => IpNet::V4(ipnet::Ipv4Net::default()),
        IpNet::V6(_) => IpNet::V6(ipnet::Ipv6Net::default()),
    };
    let usual = if gateway.is_ipv4() { 0 } else { IPV6_PRIORITY };
    let taken = |route: &&Route| route.is_default() && route.priority == usual;
    let default = RouteSpec::to(everywhere).via(gateway).device(link);
    (!copies.iter().any(taken)).then(|| default.protocol(OWN))
}

/// Reaches what is on the link, or the subnet of an address.
fn is_near(route: &Route, sources: &[(Source, u32)]) -> bool {
    let on_link = match route.dst {
        IpNet::V4(_) => route.scope == Scope::Link,
        IpNet::V6(_) => route.gateway.is_none(),
    };
    on_link
        || sources
            .iter()
            .any(|(source, _)| source.subnet() == Some(route.dst))
}

/// For the subnet of each address, a route that names the address to send from, and the route
/// whose place it takes. The first address of a subnet is the one.
fn source_hints<'m>(
    link: u32,
    sources: &[(Source, u32)],
    main: &'m [Route],
) -> Vec<(RouteSpec, Option<&'m Route>)> {
    let mut subnets: Vec<IpNet> = Vec::new();
    let mut hints = Vec::new();
    for (source, _) in sources {
        let Some(subnet) = source.subnet().filter(|subnet| !subnets.contains(subnet)) else {
            continue;
        };
        subnets.push(subnet);
        let present = main.iter().find(|route| route.dst == subnet);
        let hint = match present {
            Some(route) if route.source == Some(source.ip()) => continue,
            Some(route) => RouteSpec::of(route).protocol(BOOT),
            None => RouteSpec::to(subnet)
                .device(link)
                .scope(Scope::Link)
                .table(table::MAIN)
                .protocol(BOOT),
        };
        hints.push((hint.source(source.ip()), present));
    }
    hints
}

/// The families of the addresses.
pub(super) fn families(sources: &[Source]) -> Vec<Family> {
    let mut families: Vec<Family> = sources.iter().map(|s| Family::of(s.ip())).collect();
    families.sort();
    families.dedup();
    families
}

#[cfg(test)]
mod tests;
