//! CHECK: the rules and tables against the result of ADD and the configuration.

use super::moves::families;
use super::plan::{Gateway, Plan, Source, Tables, sources};
use super::pod::{FIRST_TABLE, find_link, source_of};
use crate::wiring::check::{mismatch, missing_among};
use crate::wiring::{SetupError, routes, sandbox, tables};
use ipnet::IpNet;
use netloom_kernel::rtnl::{Family, Link, Route, Rule, Socket, table};
use netloom_plugin::CheckRequest;
use netloom_spec::{AddResult, Error};

/// Fails with the first difference.
pub(super) fn check(request: &CheckRequest<'_>) -> Result<(), Error> {
    let plan = Plan::new(request.conf)?;
    let netns = sandbox::open(request.netns)?;
    let made = request.prev_result()?;
    let name = request.if_name.as_str();
    let socket = sandbox::enter(&netns)?;
    let present = tables::rules(&socket)?;
    if sources(&made, name, &Tables::default()).is_empty() {
        return Err(mismatch(format!("prevResult lists no address of interface {name}")).into());
    }
    match plan {
        Plan::Rules { table } => {
            for source in sources(&made, name, &Tables::default()) {
                ruled(&present, &source, |number| number == table)
                    .ok_or_else(|| mismatch(format!("{} to table {table}", no_rule(&source))))?;
            }
        }
        Plan::Tables(tables) => {
            let sources = sources(&made, name, &tables);
            let link = find_link(&socket, name)?
                .ok_or_else(|| mismatch(format!("Interface name {name} not found")))?;
            for source in &sources {
                let rule =
                    ruled(&present, source, |number| number >= FIRST_TABLE).ok_or_else(|| {
                        mismatch(format!("{} to a table of its own", no_rule(source)))
                    })?;
                filled(&socket, &link, &made, source, rule.table)?;
            }
            if tables.hints {
                hinted(&socket, &link, &sources)?;
            }
        }
    }
    Ok(())
}

fn no_rule(source: &Source) -> String {
    format!("no rule sends what comes from {}", source.ip())
}

fn ruled<'r>(present: &'r [Rule], source: &Source, to: impl Fn(u32) -> bool) -> Option<&'r Rule> {
    present
        .iter()
        .find(|rule| source_of(rule) == Some(source.ip()) && to(rule.table))
}

/// The table of an address has its default route, a way to the gateway, and the result's routes.
fn filled(
    socket: &Socket,
    link: &Link,
    made: &AddResult,
    source: &Source,
    number: u32,
) -> Result<(), SetupError> {
    let family = Family::of(source.ip());
    let found = routes::by_link(socket, family, link.index, number).map_err(SetupError::kernel(
        format!("list the routes of table {number}"),
    ))?;
    let lacks = |what: String| {
        Err(mismatch(format!(
            "table {number}, for what comes from {}, lacks {what} by {}",
            source.ip(),
            link.name
        )))
    };
    if let Some(gateway) = source.gateway {
        let default = |route: &&Route| match gateway {
            Gateway::Static(ip) => route.is_default() && route.gateway == Some(ip),
            Gateway::Result(_) => route.is_default(),
        };
        let Some(default) = found.iter().find(default) else {
            return lacks(format!("the default route via {}", gateway.ip()));
        };
        let to_gateway = |route: &Route| !route.is_default() && route.dst.contains(&gateway.ip());
        if !default.onlink && !link_local(gateway) && !found.iter().any(to_gateway) {
            return lacks(format!("a route to the gateway {}", gateway.ip()));
        }
    }
    let defaults = !matches!(source.gateway, Some(Gateway::Static(_)));
    if let Some(route) = missing_among(&found, made, source.address, defaults) {
        return lacks(route);
    }
    Ok(())
}

fn link_local(gateway: Gateway) -> bool {
    match IpNet::from(gateway.ip()) {
        IpNet::V4(_) => false,
        IpNet::V6(net) => net.addr().is_unicast_link_local(),
    }
}

/// The main table names the address to send from, for the subnet of each.
fn hinted(socket: &Socket, link: &Link, sources: &[Source]) -> Result<(), SetupError> {
    let mut main = Vec::new();
    for family in families(sources) {
        let listed = routes::by_link(socket, family, link.index, table::MAIN);
        main.extend(listed.map_err(SetupError::kernel("list the routes"))?);
    }
    for source in sources {
        let Some(subnet) = source.subnet() else {
            continue;
        };
        let of_subnet = |other: &&Source| other.subnet() == Some(subnet);
        let first = sources.iter().find(of_subnet).unwrap_or(source);
        let hint = |route: &Route| route.dst == subnet && route.source == Some(first.ip());
        if !main.iter().any(hint) {
            return Err(mismatch(format!(
                "the main table has no route to {subnet} by {} with the source {}",
                link.name,
                first.ip()
            )));
        }
    }
    Ok(())
}
