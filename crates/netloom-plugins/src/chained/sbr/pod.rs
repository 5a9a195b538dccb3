//! The pod as it is found: its rules, its tables, its link.

use super::plan::Source;
use crate::wiring::{SetupError, routes};
use netloom_kernel::rtnl::{Family, Link, Route, RouteFilter, Rule, RuleAction, Socket};
use std::net::IpAddr;

/// The first table that is taken, as by the reference.
pub(super) const FIRST_TABLE: u32 = 100;

/// Whether the main table has a default route, by whatever link.
pub(super) fn has_default(socket: &Socket, family: Family) -> Result<bool, SetupError> {
    let main = RouteFilter::main(family);
    let listed = socket.list_routes_where(&main, Route::is_default);
    let listed = listed.map_err(SetupError::kernel("list the routes of the main table"))?;
    Ok(!listed.is_empty())
}

/// The routes by a link in a table of these families, those without a next hop first.
pub(super) fn routes(
    socket: &Socket,
    families: &[Family],
    link: u32,
    number: u32,
) -> Result<Vec<Route>, SetupError> {
    let mut found = Vec::new();
    for family in families {
        let listed = routes::by_link(socket, *family, link, number);
        found.extend(listed.map_err(SetupError::kernel("list the routes of the link"))?);
    }
    Ok(found)
}

pub(super) fn find_link(socket: &Socket, name: &str) -> Result<Option<Link>, SetupError> {
    let found = socket.find_link(name);
    found.map_err(SetupError::kernel(format!("look up {name:?}")))
}

/// The single address whose packets a rule sends to a table, if that is all it does.
pub(super) fn source_of(rule: &Rule) -> Option<IpAddr> {
    let from = rule.from?;
    let plain = rule.to.is_none()
        && rule.iif.is_none()
        && rule.oif.is_none()
        && rule.mark.is_none()
        && !rule.invert
        && !rule.l3mdev;
    let single = from.prefix_len() == from.max_prefix_len();
    (single && plain && rule.action == RuleAction::ToTable).then(|| from.addr())
}

/// The rule that is about an address of the attachment.
pub(super) fn rule_of<'r>(rules: &'r [Rule], source: &Source) -> Option<&'r Rule> {
    rules
        .iter()
        .find(|rule| source_of(rule) == Some(source.ip()))
}
